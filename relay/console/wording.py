"""Help texts of every command and option: key → (Chinese, English).

Keys are `command` or `group command` for a command, and `name` of an option, or `command.name` where one
command means something else by it. `help_text` is the only reader.
"""

from types import MappingProxyType
from typing import Final

from relay.console.keys.wording import HELP as KEYS

HELP: Final = MappingProxyType(
    {
        **KEYS,
        "": (
            "驿站：政府办公厅（室）之间的安全信息中继。每个单位一个主目录、一个守护进程；本命令是它的客户端。",
            "Yizhan: a secure relay for reports between government offices; this command is the client of its daemon.",
        ),
        "exits": (
            (
                "退出码：0 完成 · 1 检查有问题 · 2 用法错误 · 65 被拒绝 · 66 没有 · 69 未运行 · 73 已存在 · "
                "74 结果未知 · 75 稍后再试 · 77 无权限 · 78 配置错误"
            ),
            (
                "Exit codes: 0 done · 1 check failed · 2 usage · 65 refused · 66 not found · 69 not running · "
                "73 exists · 74 outcome unknown · 75 try later · 77 not permitted · 78 bad configuration"
            ),
        ),
        # Commands.
        "run": ("在前台运行中继。就绪时打印 READY。", "Run the relay in the foreground; prints READY when it is up."),
        "lab": ("在一台机器上建立完整网络。", "Build a whole network on one machine."),
        "lab create": ("按 PLAN 在 DIR 建立网络。", "Build the network of PLAN.toml in DIR."),
        "demo": (
            "在临时目录里演示一份真实报告的全程。",
            "Show the way of a real report, in a temporary directory.",
        ),
        "send": ("发送一份信息，或用 --jsonl 连续发送。", "Send a message, or many with --jsonl."),
        "inbox": ("收件：查看、保存、领取、确认。", "Received messages: list, show, save, take, ack."),
        "inbox list": ("列出收到的信息。不改变状态。", "List received messages; changes nothing."),
        "inbox show": ("显示一份信息及正文。", "Show one message with its body."),
        "inbox save": (
            "把正文、附件和 meta.json 写入 DIR，从不覆盖。",
            "Write body, attachments and meta.json into DIR; overwrites nothing.",
        ),
        "inbox take": (
            "供程序使用：领取新信息，每份只作为新信息出现一次。",
            "For programs: hand out new messages, each as new exactly once.",
        ),
        "inbox ack": (
            "确认已领取的信息（- 表示从标准输入读编号）。",
            "Acknowledge taken messages (- reads ids from standard input).",
        ),
        "sign-for": ("签收一份信息。", "Sign for a message in a person's name (签收)."),
        "return": ("退回一份信息并说明理由。", "Return a message with a reason (退回)."),
        "forward": (
            "转报：以本单位名义发出，内附带原签名的原件。",
            "Forward a message: a new one by this office that carries the original, signature and all (转报).",
        ),
        "track": ("显示一份已发信息的全程。", "Show what became of a message that was sent."),
        "sent": ("本单位发出的信息。", "Messages that this office sent."),
        "sent list": ("列出本单位发出的信息。", "List the messages that this office sent."),
        "evidence": (
            "把信息、回执和信任链写成一个证据文件。",
            "Write message, receipts and trust chain as one evidence file.",
        ),
        "verify": ("离线核验证据文件。", "Check an evidence file with no daemon and no network."),
        "cancel": (
            "撤销本单位发出的信息；已送达的不受影响。",
            "Cancel a message of this office; what was delivered stays.",
        ),
        "status": ("显示中继状态：链路、队列、存储、信任。", "Show links, lanes, store and trust on one page."),
        "clock": ("本机时钟。", "The clock of this machine."),
        "clock accept": (
            "确认系统时钟正确；跳变后不再沿用推算的时间。",
            "Say that the wall clock is right after it jumped.",
        ),
        "home": ("本站主目录。", "The home of this office."),
        "home accept": (
            "确认已查明本站主目录为何被恢复或复制，解除警报。",
            "Say that it is known how the home was restored or cloned; ends the alarm.",
        ),
        "queue": ("待发队列。", "What waits to be sent."),
        "queue list": ("列出待发的副本。", "List the copies that wait."),
        "queue show": ("显示一个待发副本。", "Show one waiting copy."),
        "quarantine": ("隔离区：无法解析或验证的来件。", "What came in and could not be parsed or verified."),
        "quarantine list": ("列出隔离区。", "List the quarantine."),
        "quarantine show": ("显示一条隔离记录。", "Show one quarantine record."),
        "statistics": (
            "列出每日（UTC）收发计数，最近的在前。",
            "List what was counted on each day (UTC), the newest first.",
        ),
        "overdue": ("列出超过期限仍未送达的信息。", "List messages past their deadline."),
        "config": ("设置。", "Settings."),
        "config check": ("检查 relay.toml。", "Check relay.toml."),
        "config show": ("显示生效的设置。", "Show the settings in force."),
        "fsck": ("检查存储的完整性。", "Check the store."),
        "doctor": (
            "全面检查：每项给出 PASS、WARN 或 FAIL 及下一步。",
            "Check everything: PASS, WARN or FAIL, each with the next step.",
        ),
        "audit": ("审计日志：谁做了什么。", "The audit log: who did what."),
        "audit tail": ("显示审计日志的最后几条。", "Show the last lines of the audit log."),
        "audit verify": (
            "核验审计日志是否完整未改；可离线核验导出的 FILE。",
            "Check that nothing was changed, cut or taken out of the log, or of an exported FILE.",
        ),
        "audit accept": (
            "确认已查明审计日志的损坏，解除警报；确认本身记入日志，核验仍会列出损坏。",
            "Say that the damage is known; ends the alarm. That is in the log, too, and verify still shows the damage.",
        ),
        "audit heads": (
            "列出邻近单位审计日志的已知进度，供检查人员在该单位用 audit verify --head 核对。",
            "Show how far the logs of neighbours are; an inspector there checks it with audit verify --head.",
        ),
        "audit export": (
            "把整个审计日志及核验所需写入一个文件（- 为标准输出）。",
            "Write the whole log and what verifies it into one file (- for standard output).",
        ),
        "keys init": (
            "生成本单位密钥和签名的入网申请；密钥从不离开本主目录，也从不被覆盖。",
            "Make this office's keys and its signed request; keys never leave the home and are never overwritten.",
        ),
        "keys fingerprint": (
            "显示申请、单位密钥或根的指纹，供电话核对。",
            "Show the fingerprint of a request, of an office's keys or of a root, to compare by telephone.",
        ),
        "keys approve": (
            "受理入网申请：签入网络名录并写出答复。可一次受理多份。",
            "Take offices into the network: sign the directory and write the responses. Many at once.",
        ),
        "keys change": (
            "单位自某日起更改地址、名称、类别、上级、资格，或并入继任单位；到期自动生效。",
            "From a date on, give an office another address, name, class, parent or standing, or a successor.",
        ),
        "keys reject": ("驳回一份入网申请。", "Refuse a request for good."),
        "keys revoke": (
            "吊销一个单位或它的一个密钥：自某时起所签一律无效，此前所签须有旁证。",
            "Revoke an office, or one of its keys: nothing it signed since counts, and before only with a witness.",
        ),
        "keys rotate identity": (
            "在现用密钥旁生成新的签名密钥，并写出更新申请（由现用密钥担保）。",
            "Make new signing keys beside those in force, and a request that those vouch for.",
        ),
        "keys rotate tls": (
            "生成新的 TLS 密钥，并写出换发证书的申请。",
            "Make a new TLS key, and the request for its certificate.",
        ),
        "keys rotate prekey": ("立即生成并发布下一个预置公钥。", "Make and publish the next prekey now."),
        "keys rotate storage": (
            "给已停止的本站换一个存储密钥：密钥文件和存储的每一行都重新封存；中断后再运行一次即可。",
            "Give a stopped home a new storage key: key files and rows are sealed anew. Run again if interrupted.",
        ),
        "keys rotate cancel": ("放弃尚未答复的密钥更新。", "Give up a rotation that was not answered."),
        "keys needs-renewal": (
            "密钥、证书、签名文件、人员是否有即将到期的：退出码 0 有，1 无。",
            "Say whether keys, certificates, signed files or persons end soon: exit 0 yes, 1 no.",
        ),
        "keys install": ("把网络的答复装入本单位主目录。", "Take the network's answer into the office's home."),
        "broker": ("消息代理。", "Message brokers."),
        "broker config": (
            "打印一个代理的配置；用 --out 则写入目录，再次运行只更新变动部分。",
            "Print the configuration of a broker; with --out write its folder, and later bring it up to date.",
        ),
        "broker certificate": (
            "用网络的证书机构签发代理的服务器证书（在管理员主目录中运行）。",
            "Issue a broker's server certificate for these host names (in the administrator's directory).",
        ),
        "broker authority": (
            "列出 TLS 证书机构；--new 换新的，--drop-older 不再信任旧的。",
            "Show the authorities for TLS; make a new one, or end the trust in older ones.",
        ),
        "broker revocations": (
            "重新生成吊销证书列表：已吊销单位的，以及单独收回的（在管理员主目录中运行）。",
            "List the revoked certificates for brokers: those of revoked offices, and withdrawn ones.",
        ),
        "broker run": ("在前台运行 DIR 中的代理。", "Run the broker of DIR in the foreground."),
        "keys": ("密钥与信任。", "Keys and trust."),
        "keys passwd": (
            "更改密钥文件 FILE 的口令；不给 FILE 则更改本主目录存储密钥的保管方式。",
            "Change the passphrase of a key file, or without FILE what the storage key of the home is kept under.",
        ),
        "keys backup": (
            "把本主目录的密钥和信任写入一个口令保护的文件。",
            "Write keys and trust of the home into one file under a passphrase.",
        ),
        "keys recover": (
            "用备份文件在新的 --home 主目录恢复；从不覆盖。",
            "Make the new --home of a backup; overwrites nothing.",
        ),
        "keys person": (
            "审核人、签发人、签收人：登记、列出、吊销。",
            "Persons who sign for an office: reviewers, issuers, clerks.",
        ),
        "keys person init": (
            "在本人的机器上生成人员密钥，并写出给管理员的申请（KEYFILE.request）。",
            "Make a person's key on that person's machine, and beside it KEYFILE.request for the administrator.",
        ),
        "keys person add": (
            "把人员登记到网络名录：用其申请，或由管理员代为生成密钥。",
            "Take a person into the directory, by the person's request, or with a key that is made here.",
        ),
        "keys person list": ("列出名录中的人员。", "List the persons of the directory."),
        "keys person revoke": (
            "吊销人员密钥：自 TIME 起的签名一律无效，此前的仍有效。",
            "Let no signature of a person count from TIME on; what was signed before stands.",
        ),
        "version": ("显示版本。", "Show versions."),
        # Options that every command has.
        "help": ("显示本帮助。", "Show this help."),
        "home_given": (
            "单位主目录（或环境变量 RELAY_HOME；默认 /var/lib/relay）",
            "the office's home (or RELAY_HOME; default /var/lib/relay)",
        ),
        "json": ("输出 JSON，供程序使用", "print JSON for programs"),
        "lang": ("语言（或环境变量 RELAY_LANG、LANG）", "language (or RELAY_LANG, LANG)"),
        # Options of a message.
        "to": ("主送单位或分组，可重复", "recipient or group; repeat for more"),
        "cc": ("抄送单位或分组，可重复", "copy to; repeat for more"),
        "urgency": (
            "flash 特提、urgent 特急、priority 加急、routine 平急（默认）",
            "flash, urgent, priority or routine (default)",
        ),
        "kind": ("类别，如 report（默认）、incident_first", "kind, such as report (default) or incident_first"),
        "title": ("标题，1–100 字，一行", "title, 1–100 characters on one line"),
        "body": ("正文文件（UTF-8），- 为标准输入", "file with the body (UTF-8), - for standard input"),
        "attach": ("附件，可重复", "attachment; repeat for more"),
        "id": ("信息编号（UUID）；重发时用原编号", "message id (UUID); give the same one to repeat safely"),
        "expires_in": ("有效期，如 72h", "life of the message, such as 72h"),
        "deliver_within": ("送达期限，如 6h", "deadline for delivery, such as 6h"),
        "occurred_at": ("事件发生时间（RFC 3339）", "time of the event (RFC 3339)"),
        "event_level": ("事件级别 I、II、III、IV", "level of the event: I, II, III or IV"),
        "thread": ("所属事件的首份信息编号", "id of the message that began the thread"),
        "reply_to": ("回复的信息编号", "id of the message that this answers"),
        "classification": ("none（默认）或 work_secret；涉密信息一律拒绝", "none (default) or work_secret"),
        "bulk": ("可延后的大批量信息（仅限平急）", "may wait behind everything else (routine only)"),
        "drill": ("演练信息", "mark as a drill"),
        "wait": (
            "等到 delivered、opened 或 signed_for 再返回",
            "wait until delivered, opened or signed_for",
        ),
        "wait_timeout": ("最多等多久（默认 60s）", "longest wait (default 60s)"),
        "jsonl": (
            "每行一个 JSON 对象，逐行按序回答；- 为标准输入",
            "one JSON object a line, one answer a line in order; - for standard input",
        ),
        # Options of enrolment.
        "address": ("单位地址，如 320924-GO", "address of the office, such as 320924-GO"),
        "network": ("网络名称", "name of the network"),
        "name": ("单位全称", "full name of the office"),
        "office_class": ("单位类别，如 county", "class of the office, such as county"),
        "parent": ("上级单位地址", "address of the office above it"),
        "standing": ("liaison、direct 或 screened", "liaison, direct or screened"),
        "brokers": ("所接代理的编号，可重复", "id of a broker that it is attached to; repeat for more"),
        "within": ("多久之内到期算作即将到期（默认 30d）", "how early something counts (default 30d)"),
        "valid_days": ("申请有效天数（默认 30，至多 90）", "days that the request is valid (default 30, at most 90)"),
        "keys init.root": ("网络的根：指纹或根文件", "the network's root: its fingerprint, or a root file"),
        "keys init.output": ("写入申请的文件", "file to write the request to"),
        "keys approve.output": ("写入答复的文件或目录", "file or directory to write the responses to"),
        "keys reject.output": ("写入驳回答复的文件", "file to write the refusal to"),
        "keys reject.reason": ("驳回理由，一行", "reason of the refusal, one line"),
        "keys revoke.since": (
            "自何时起不可信（RFC 3339）：最早可能失窃之时",
            "from when on it is not to be believed: the earliest time of the theft (RFC 3339)",
        ),
        "keys revoke.reason": ("吊销理由，一行，记入管理员日志", "why, one line; kept in the administrators' journal"),
        "keys revoke.key": ("只吊销这个密钥（十六进制编号）", "revoke this key only (its id in hexadecimal)"),
        "keys revoke.yes": ("即使是发布名录的单位也吊销", "revoke even the office that publishes the directory"),
        "successor": ("接管其职能的单位地址", "address of the office that takes over from it"),
        "start": ("生效日期或时间（默认立即）", "day or time from which it holds (default: now)"),
        "cancelling": ("取消尚未生效的更改", "take back what is planned and has not begun"),
        "keys change.address": ("新地址", "its new address"),
        "keys change.parent": ("新的上级单位地址，none 表示没有", "address of the office above it, or none"),
        "no_qr": ("不显示二维码", "leave the QR code out"),
        # Options of single commands.
        "state": ("只列出此状态", "only this state"),
        "limit": ("最多列出多少条", "at most so many"),
        "lines": ("最后多少条（默认 20）", "how many of the last lines (default 20)"),
        "follow": ("继续显示新的记录", "go on with new lines as they come"),
        "head": (
            "外部留存的末行哈希，或含有它的文件（如 audit verify --json 的输出），可重复",
            "hash of a line that is known from elsewhere, or a file with one (as audit verify --json prints); repeat",
        ),
        "max": ("最多领取多少份（默认 100）", "take at most so many (default 100)"),
        "by": ("签收人姓名", "name of the person who signs for it"),
        "reason": ("退回理由", "reason of the return"),
        "forward.title": ("标题（默认用原标题）", "title (default: the original's)"),
        "output": ("写入的文件，- 为标准输出", "file to write, - for standard output"),
        "reviewer": ("审核人的密钥文件", "key file of the reviewer (审核)"),
        "issuer": ("签发人的密钥文件", "key file of the issuer (签发)"),
        "key": (
            "签收人的密钥文件；回执即为 person_signed",
            "key file of that person; the receipt then says person_signed",
        ),
        "persons_passphrase": (
            "人员密钥的口令文件（第一行；默认在终端询问）",
            "file whose first line is the passphrase of the key files (default: asked for)",
        ),
        "keys person init.name": ("姓名", "name of the person"),
        "office": ("单位地址", "address of the office"),
        "role": ("reviewer 审核、issuer 签发、clerk 签收，可重复", "reviewer, issuer or clerk; repeat for more"),
        "public": ("本人生成的申请文件", "the request that the person made"),
        "key_out": (
            "代为生成的密钥写入此文件（默认 HOME/persons/单位-姓名.key）",
            "make the key here, in this file (default HOME/persons/OFFICE-NAME.key)",
        ),
        "key_passphrase_file": (
            "新密钥的口令文件（默认询问两次；实验网用其口令）",
            "file with the new key's passphrase (default: asked for twice; in a laboratory its own)",
        ),
        "since": ("自何时起（RFC 3339）", "from when on (RFC 3339)"),
        "keys person revoke.reason": ("吊销理由", "why"),
        "keys person revoke.key": (
            "吊销此人的这个密钥（十六进制编号），默认为最新的",
            "revoke this key of the person (its id in hexadecimal), by default the latest",
        ),
        "keys person init.output": ("新密钥文件", "the new key file"),
        "keys person init.passphrase_file": (
            "新密钥的口令文件（默认在终端询问两次）",
            "file with the new key's passphrase (default: asked for twice)",
        ),
        "redact_body": ("略去正文，只留摘要", "leave the body out; its digest stays provable"),
        "root": (
            "信任根：文件或指纹（默认用主目录中的）",
            "trust anchor: file or fingerprint (default: the home's)",
        ),
        "passphrase_file": (
            "首行为口令的文件（默认在终端上询问）",
            "file whose first line is the passphrase (default: asked on the terminal)",
        ),
        "lab create.passphrase_file": (
            "根密钥和人员密钥的口令文件（默认随机生成）",
            "file with the passphrase of root and persons' keys (default: a random one)",
        ),
        "hsm_module": (
            "密码令牌的 PKCS#11 库；签名密钥在令牌内生成，永不导出",
            "PKCS#11 library of a token; the signing key is made in it and never leaves",
        ),
        "hsm_token": ("令牌的标签", "label of the token"),
        "keys passwd.keep": (
            "存储密钥的保管方式：passphrase 口令（默认）、file 明文文件、token 密码令牌",
            "keep the storage key under a passphrase (default), in a plain file, or under the token of [hsm]",
        ),
        "keys passwd.passphrase_file": ("首行为旧口令的文件", "file whose first line is the old passphrase"),
        "new_passphrase_file": ("首行为新口令的文件", "file whose first line is the new passphrase"),
        "keys backup.passphrase_file": ("首行为备份口令的文件", "file whose first line is the passphrase"),
        "keys recover.passphrase_file": ("首行为备份口令的文件", "file whose first line is the passphrase"),
        "keys recover.root": ("网络根的指纹须为此值", "the fingerprint that the network's root must have"),
        "keep": ("保留演示网络于 DIR", "keep the network in DIR"),
        "suite": (
            "密码套件：1、2 或 gm（国密，即 3）；默认 1",
            "cipher suite: 1, 2 or gm (SM2, which is 3); default 1",
        ),
        "keys rotate identity.suite": (
            "新签名密钥的套件：1、2 或 gm（国密）；默认不变",
            "suite of the new signing key: 1, 2 or gm; by default the one in force",
        ),
        "engine": ("mosquitto、nats 或 rabbitmq", "mosquitto, nats or rabbitmq"),
        "out": ("写入的目录", "folder to write"),
        "user": (
            "以 root 启动时代理改用的用户（仅 mosquitto）",
            "whom a broker started by root becomes (mosquitto only)",
        ),
        "days": ("有效天数（默认 730）", "days of validity (default 730)"),
        "request": (
            "代理机器上生成的证书请求（PEM）；私钥不离开该机器",
            "certificate request (PEM) made where the broker is, so that its key never leaves that machine",
        ),
        "new": ("换用新的证书机构，旧的仍受信任", "a new authority issues from now on; older ones are trusted still"),
        "drop_older": ("不再信任旧的证书机构", "trust older authorities no more"),
        "withdraw": (
            "收回此单位或主机的现有证书，或此序列号的证书，可重复",
            "withdraw the certificates of this office or host, or of this serial number; repeat for more",
        ),
        "listen": ("代理监听的地址（默认 127.0.0.1）", "address that the broker listens on (default 127.0.0.1)"),
        "port": ("代理监听的端口（默认按设置）", "port that the broker listens on (default: from the settings)"),
        "directory": (
            "代理的目录（默认 /etc/relay/brokers/ID）",
            "folder of the broker (default /etc/relay/brokers/ID)",
        ),
    }
)


def help_text(key: str, lang: str) -> str:
    """The help text under `key` in `zh_CN` or `en`."""
    chinese, english = HELP[key]
    return chinese if lang == "zh_CN" else english
