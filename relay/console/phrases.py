"""What the command line says besides help and errors: key → (Chinese, English)."""

from types import MappingProxyType
from typing import Any, Final

from relay.console.keys.phrases import PHRASES as KEYS

PHRASES: Final = MappingProxyType(
    {
        **KEYS,
        # Frame of help and errors.
        "usage": ("用法：", "Usage: "),
        "options": ("选项：", "Options:"),
        "commands": ("命令：", "Commands:"),
        "options_metavar": ("[选项]", "[OPTIONS]"),
        "command_metavar": ("命令 …", "COMMAND …"),
        "required": ("必填", "required"),
        "error": ("错误：", "Error: "),
        "why": ("原因：", "Why:   "),
        "do": ("办法：", "Do:    "),
        "run": ("请运行：{command}", "Run: {command}"),
        "see_help": ("请看 `{command} --help`。", "See `{command} --help`."),
        # Usage errors.
        "no_such_option": ("没有选项 {name}", "there is no option {name}"),
        "no_such_command": ("没有命令 {name}", "there is no command {name}"),
        "did_you_mean": ("，是否指 {names}？", "; did you mean {names}?"),
        "missing": ("缺少 {name}", "{name} is missing"),
        "missing_command": ("缺少命令", "a command is missing"),
        "bad_value": ("{name} 的值无效：{why}", "{name} has a bad value: {why}"),
        "one_of": ("只能是 {names}", "it must be one of {names}"),
        "not_a_number": ("应为 {low} 至 {high} 的整数", "it must be a whole number from {low} to {high}"),
        "no_file_name": ("文件名为空", "the name is empty"),
        "not_utf8": ("不是 UTF-8 文本", "it is not UTF-8 text"),
        "needs_value": ("选项 {name} 需要一个值", "option {name} needs a value"),
        "takes_no_value": ("选项 {name} 不带值", "option {name} takes no value"),
        "too_many": ("多余的参数 {names}", "too many arguments: {names}"),
        "jsonl_alone": ("--jsonl 不能与 {name} 同用", "--jsonl does not go with {name}"),
        "wait_alone": ("--wait-timeout 需与 --wait 同用", "--wait-timeout goes with --wait"),
        # Keys of this home.
        "storage_key": ("存储密钥", "the storage key"),
        "storage_kept": ("存储密钥现由 {kept} 保管：{file}", "The storage key is now kept under: {kept} ({file})"),
        "passphrase_changed": (
            "{file} 的口令已更改；此前的副本仍由旧口令打开。",
            "The passphrase of {file} is another now; copies made before still open with the old one.",
        ),
        "backup_without_token": (
            "签名密钥在密码令牌中，不在此备份内：恢复时需要该令牌。",
            "The signing key is in a token and not in this file: a recovered home needs the token.",
        ),
        "backup_made": (
            "{address} 的密钥和信任已备份到 {file}（{files} 个文件）。请把它与口令分开保管。",
            "Keys and trust of {address} are in {file} ({files} files). Keep file and passphrase apart.",
        ),
        "recovered": ("已恢复到 {home}", "Recovered into {home}"),
        "address": ("地址", "Address"),
        "made_at": ("备份时间", "Backed up"),
        "recovered_office": (
            "请确认旧机器不会再启动，再运行 `relay run`；邻近单位随后会报告 RESTORED 警报。",
            "Make sure that the old machine never starts again, then `relay run`; neighbours will sound RESTORED here.",
        ),
        "recovered_root": (
            "请用 `relay keys list` 核对名录是否最新；必要时用 `relay keys pull` 取回。",
            "Compare with `relay keys list`; fetch what is newer with `relay keys pull`.",
        ),
        "wrong_tries": (
            "注意：自 {since} 起，有人对 {what} 试过 {count} 次错误口令。",
            "Note: wrong passphrases tried on {what} since {since}: {count}.",
        ),
        "token_pin": ("密码令牌（PIN）", "the token (its PIN)"),
        # Sending.
        "accepted": ("已受理 {id}", "Accepted {id}"),
        "accepted_before": ("此前已受理 {id}", "Accepted before {id}"),
        "reached": ("已到状态：{state}", "Reached: {state}"),
        "lane": ("通道 {lane} → {to}", "lane {lane} → {to}"),
        "digest": ("摘要 {digest}", "digest {digest}"),
        "renamed": ("{to} 现为 {now}", "{to} is {now} now"),
        "skipped": ("未能发往 {to}：{code}", "not addressed: {to} ({code})"),
        "lines_refused": (
            "{bad} 行未受理，共 {all} 行；首个在第 {line} 行",
            "{bad} of {all} lines were not accepted, first line {line}",
        ),
        # Receiving.
        "no_messages": ("没有信息。", "No messages."),
        "nothing": ("没有。", "Nothing."),
        "attachments": ("附件", "Attachments"),
        "original": ("原件", "Original"),
        "saved": ("已保存 {count} 个文件到 {dir}", "Saved {count} files to {dir}"),
        "acked": ("已确认 {id}", "Acknowledged {id}"),
        "not_acked": ("未确认 {id}：{code}", "Not acknowledged: {id} ({code})"),
        "signed_for": ("已签收 {id}（{by}）", "Signed for {id} ({by})"),
        "person_made": ("{name} 的密钥在 {file}，编号 {key_id}", "The key of {name} is in {file}, its id is {key_id}"),
        "person_next": (
            "把 {file} 交给网络管理员，并用电话核对密钥编号。",
            "Give {file} to the network administrator, and compare the key's id by telephone.",
        ),
        "public_or_key": (
            "--public 不能与 --key-out、--key-passphrase-file 同用",
            "--public does not go with --key-out or --key-passphrase-file",
        ),
        "returned": ("已退回 {id}", "Returned {id}"),
        "cancelled": ("已请求撤销 {id}", "Cancellation requested for {id}"),
        "cancel_ended": ("已撤销，从未发出：{to}", "Ended, never sent: {to}"),
        "cancel_requested": ("已发出，已请对方作废：{to}", "Sent before, asked to let it die: {to}"),
        "cancel_too_late": ("已有结果，不能撤销：{to}", "Too late, there is a verdict: {to}"),
        "evidence_written": ("证据已写入 {file}（{bytes} 字节）", "Evidence written to {file} ({bytes} bytes)"),
        # Verifying and checking.
        "verify_ok": ("核验通过", "Verified"),
        "verify_bad": ("核验未通过", "NOT verified"),
        "root_fingerprint": ("根指纹 {fingerprint}", "Root fingerprint {fingerprint}"),
        "check_ok": ("检查通过", "The check found nothing wrong"),
        "check_bad": ("检查发现问题", "The check found something wrong"),
        "clock_accepted": ("时钟已确认：{wall}", "The clock is accepted: {wall}"),
        "audit_accepted": (
            "已确认 {count} 处问题：告警解除，核验仍会列出。未确认 {left} 处",
            "{count} problems are accepted: the alarm ends, verify still shows them. Not accepted: {left}",
        ),
        "audit_written": ("审计日志已写入 {file}（{bytes} 字节）", "Audit log written to {file} ({bytes} bytes)"),
        "root_needs_file": ("--root 需与导出文件同用", "--root goes with an exported file"),
        "home_accepted": ("本站情况已确认，现纪元 {epoch}", "The home is accepted, in epoch {epoch}"),
        "config_ok": ("设置正确：{file}", "The settings are right: {file}"),
        "lab_made": ("网络已建于 {dir}", "The network is in {dir}"),
        "lab_run": ("依次启动代理和各单位：", "To run it, brokers first:"),
        # Keys and passphrases.
        "passphrase_of": (
            "{what} 的口令（直接回车表示持有人不在）：",
            "Passphrase of {what} (empty: its holder is not here): ",
        ),
        "passphrase_for": ("{what} 的口令：", "Passphrase of {what}: "),
        "new_passphrase": (
            "为 {what} 设定口令（至少 {count} 个字符）：",
            "New passphrase for {what} (at least {count} characters): ",
        ),
        "passphrase_again": ("再输入一次 {what} 的口令：", "The passphrase of {what} again: "),
        "passphrase_short": ("太短，至少 {count} 个字符。", "Too short: at least {count} characters."),
        "passphrase_differs": ("两次输入不一致，请重来。", "The two differ; once more, please."),
        "revoke_next": (
            "该单位的证书也应吊销：relay --home {home} broker revocations，再更新各消息代理",
            "Its certificate should go too: relay --home {home} broker revocations, then bring the brokers up to date",
        ),
        # Brokers.
        "broker_same": ("{dir} 无变动", "Nothing changed in {dir}"),
        "broker_changed": ("已写入 {file}", "Written: {file}"),
        "broker_joined": ("新增单位 {office}", "Joined: {office}"),
        "broker_left": ("已去除单位 {office}", "Left: {office}"),
        "broker_missing": (
            "缺少 {file}；由网络管理员以 relay broker certificate 签发",
            "Missing: {file}; the network administrator issues it with relay broker certificate",
        ),
        "broker_start": ("在代理所在机器上启动：", "To start it, where the broker is:"),
        "broker_reload": ("在代理所在机器上运行，连接不会中断：", "Run where the broker is; no connection breaks:"),
        "broker_restart": ("须重新启动代理：", "The broker must be started anew:"),
        "authority_new": (
            (
                "新机构签发，旧机构仍受信任。依次：broker config 送往各代理并重启；各单位 keys rotate tls；"
                "各代理 broker certificate；最后 broker authority --drop-older"
            ),
            (
                "The new one issues, older ones are trusted still. In this order: broker config for every broker, "
                "started anew; keys rotate tls at every office; broker certificate for every broker; and "
                "broker authority --drop-older"
            ),
        ),
        "certificate_made": (
            "{names} 的证书在 {dir}，有效期至 {until}",
            "The certificate of {names} is in {dir}, valid until {until}",
        ),
        "revocations_made": (
            "吊销列表 {file}，共 {count} 个证书；再运行 relay broker config 送往各代理",
            "The list of revoked certificates is {file}, with {count}; run relay broker config to bring it to brokers",
        ),
        # Enrolment.
        "request_made": ("申请已写入 {file}，有效至 {until}", "The request is in {file}, valid until {until}"),
        "rotation_next": (
            "把 {file} 送交网络管理员批准；收到答复后运行：relay --home {home} keys install 答复文件",
            "Send {file} to the administrator; with the answer run: relay --home {home} keys install RESPONSE",
        ),
        "rotation_cancelled": ("已放弃这次密钥更新。", "The rotation was given up."),
        "renewal_installed": (
            "{address} 的答复已装入；新密钥在本站的名录列出后自动启用。",
            "The answer for {address} is installed; new keys are used as soon as the relay's directory names them.",
        ),
        "prekey_renewed": (
            "已发布第 {epoch} 个预置公钥，有效至 {until}",
            "Prekey {epoch} is published, valid until {until}",
        ),
        "storage_rotated": (
            "已换用新的存储密钥，重新封存 {rows} 行。",
            "A new storage key is in force; {rows} rows sealed anew.",
        ),
        "nothing_ends": ("{within} 内没有到期的。", "Nothing ends within {within}."),
        "until": ("至", "until"),
        "what": ("事项", "what"),
        "next_step": ("下一步", "next step"),
        "ended": ("已到期", "ended"),
        "request_next": (
            "请把 {file} 送交网络管理员并电话核对指纹；收到答复后运行 `relay --home {home} keys install 答复文件`",
            "Bring {file} to the administrator, compare this by phone; then: relay --home {home} keys install RESPONSE",
        ),
        "fingerprint_request": ("{subject} 的申请指纹", "Fingerprint of the request of {subject}"),
        "fingerprint_office": ("{subject} 的密钥指纹", "Fingerprint of the keys of {subject}"),
        "fingerprint_root": ("根指纹（{subject}）", "Fingerprint of the root ({subject})"),
        "installed": (
            "{address} 已加入网络 {network}（名录第 {version} 版）",
            "{address} is in the network {network} (directory version {version})",
        ),
        "settings_written": ("设置已写入 {file}", "Settings are in {file}"),
        "settings_kept": ("设置 {file} 保持不变", "The settings in {file} stay as they are"),
        "no_brokers_known": (
            "网络未给出代理地址：请在 {file} 中填写 [[brokers]]",
            "The network named no broker: add [[brokers]] to {file}",
        ),
        "run_next": ("现在可以运行 `relay --home {home} run`", "Now `relay --home {home} run` starts it"),
        "responses_written": ("{count} 份答复已写入 {place}", "{count} responses are in {place}"),
        "change_planned": ("{office} 自 {start} 起为 {address}", "{office} is {address} from {start} on"),
        "responses_wait": (
            "答复尚未写出：请由掌管 {label} 的人再次运行本命令",
            "No response is written yet: let whoever opens {label} run this again",
        ),
        "request_rejected": ("已驳回 {address} 的申请", "The request of {address} is rejected"),
        # Table heads and fields.
        "id": ("编号", "Id"),
        "number": ("序号", "No."),
        "at": ("时间", "Time"),
        "by": ("操作者", "By"),
        "did": ("动作", "Did"),
        "hash": ("哈希", "Hash"),
        "code": ("结果", "Result"),
        "from": ("来自", "From"),
        "to": ("发往", "To"),
        "cc": ("抄送", "Cc"),
        "title": ("标题", "Title"),
        "words_lost": ("（正文因磁盘损坏已丢失）", "(the words are lost: the disk damaged them)"),
        "kind": ("类别", "Kind"),
        "urgency": ("紧急程度", "Urgency"),
        "lane_head": ("通道", "Lane"),
        "state": ("状态", "State"),
        "flags": ("标志", "Flags"),
        "received_at": ("收到时间", "Received"),
        "occurred_at": ("发生时间", "Occurred"),
        "deadline": ("期限", "Deadline"),
        "digest_head": ("摘要", "Digest"),
        "verified": ("已验证", "verified"),
        "unverified": ("未验证", "not verified"),
        "final": ("终态", "final"),
        "deadline_uncertain": ("时钟不一致，期限存疑", "deadline uncertain: clocks differ"),
        "late": ("逾期", "late"),
        "office": ("单位", "Office"),
        "name": ("姓名", "Name"),
        "roles": ("角色", "Roles"),
        "not_after": ("有效期至", "Valid until"),
        "key_id": ("密钥编号", "Key"),
        "version": ("版本", "Version"),
        "uptime": ("运行", "Up"),
        "memory": ("内存", "Memory"),
        "links": ("链路", "Links"),
        "broker": ("代理", "Broker"),
        "next_hop": ("下一站", "Next"),
        "since": ("自", "Since"),
        "peers": ("在线单位", "Peers"),
        "last_error": ("最近错误", "Last error"),
        "lanes": ("通道", "Lanes"),
        "queued": ("待发", "Queued"),
        "inflight": ("在途", "In flight"),
        "oldest": ("最久", "Oldest"),
        "clock": ("时钟", "Clock"),
        "gaps": ("缺号", "Missing numbers"),
        "numbers": ("编号", "Numbers"),
        "store": ("存储", "Store"),
        "trust": ("网络名录", "Directory"),
        "counters": ("计数", "Counters"),
        "counted_day": ("日期", "Day"),
        "counted_accepted": ("接收发送", "Accepted"),
        "counted_delivered": ("已送达", "Delivered"),
        "counted_received": ("收到", "Received"),
        "counted_forwarded": ("转送", "Carried"),
        "counted_duplicates": ("重复", "Duplicates"),
        "counted_quarantined": ("隔离", "Quarantined"),
        "counted_refused": ("被拒", "Refused"),
        "counted_expired": ("过期", "Expired"),
    }
)


def say(key: str, lang: str, **values: Any) -> str:
    """The phrase under `key` with its values filled in."""
    chinese, english = PHRASES[key]
    text = chinese if lang == "zh_CN" else english
    return text.format(**values) if values else text
