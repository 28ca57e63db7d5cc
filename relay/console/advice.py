"""What the doctor's findings mean and what to do about them: code → (Chinese, English), each (what is, next step)."""

from types import MappingProxyType
from typing import Final

Words = tuple[str, str]
"""What is, and the next step; no step where nothing is to be done."""

ADVICE: Final = MappingProxyType(
    {
        # The home.
        "SETTINGS_OK": (("设置正确", ""), ("the settings are right", "")),
        "SETTINGS_WRONG": (
            ("relay.toml 有误，下次启动会失败", "运行 relay config check 并改正"),
            ("relay.toml is wrong, the next start will fail", "run relay config check and mend it"),
        ),
        "SETTINGS_CHANGED": (
            ("relay.toml 已改，运行中的中继仍用旧设置", "重启中继使新设置生效"),
            ("relay.toml was changed, the running relay has the old settings", "restart the relay"),
        ),
        "MODES_OK": (("私钥和目录只有本用户可读", ""), ("keys and folders are private", "")),
        "KEYS_OPEN": (
            ("其他用户可以读到私钥文件", "运行 chmod -R go-rwx HOME/keys，并考虑更换密钥"),
            ("others may reach the private keys", "run chmod -R go-rwx HOME/keys, and consider new keys"),
        ),
        "HOME_OPEN": (
            ("其他用户可以进入单位主目录", "运行 chmod 700 这些目录"),
            ("others may look into folders of the home", "run chmod 700 on them"),
        ),
        # The office.
        "OFFICE_OK": (("名录中的地址与设置一致", ""), ("the directory calls it what the settings say", "")),
        "OFFICE_RENAMED": (
            ("本单位已改用新地址，旧地址的信件照常收到", "把 relay.toml 中 [office] address 改为新地址"),
            (
                "this office has another address; mail to the old one still comes",
                "put it into relay.toml, [office] address",
            ),
        ),
        "OFFICE_SUCCEEDED": (
            ("本单位的职能已由继任单位接管，不再收到新信件", "在途信件收完后，请网络管理员吊销本单位"),
            (
                "another office has taken over from this one, and new mail goes there",
                "when nothing is on its way any more, ask the network administrator to revoke it",
            ),
        ),
        # The daemon.
        "DAEMON_UP": (("中继在运行", ""), ("the relay runs", "")),
        "DAEMON_DOWN": (
            ("中继没有运行：不收也不发", "启动它：relay run 或 systemctl start relay"),
            ("the relay does not run: nothing comes and nothing goes", "start it: relay run, or systemctl start relay"),
        ),
        "NEVER_RAN": (("本站还没有运行过", ""), ("this home never ran", "")),
        "NOT_LOOKED": (
            ("无法检查", "先解决上面的问题，再运行 relay doctor"),
            ("not looked at", "mend the above first"),
        ),
        # The store.
        "STORE_OK": (("存储完好", ""), ("the store is sound", "")),
        "STORE_LOW": (
            ("空间不足，不再受理平急和批量信息", "清理磁盘，或调大 [store] quota_bytes"),
            ("space runs short, routine and bulk are refused", "free disk space or raise [store] quota_bytes"),
        ),
        "STORE_FULL": (
            ("空间已满，任何信息都不再受理", "立即清理磁盘，或调大 [store] quota_bytes"),
            ("no space is left, nothing is accepted", "free disk space now or raise [store] quota_bytes"),
        ),
        "STORE_PAGES": (
            ("数据库文件有损坏的页", "运行 relay fsck；备份后更换磁盘"),
            ("pages of the database are damaged", "run relay fsck; make a backup and change the disk"),
        ),
        "STORE_ROWS": (
            ("有损坏的记录，已另存，正向来源重新索取", "运行 relay fsck；检查磁盘"),
            ("damaged rows were set aside and are asked for again", "run relay fsck; look at the disk"),
        ),
        "STORE_UNREADABLE": (
            ("无法打开存储", "看详情；检查磁盘和 keys/storage.key，必要时从备份恢复"),
            (
                "the store cannot be opened",
                "look at the disk and the storage key, else restore a backup",
            ),
        ),
        "STORE_HELD": (
            ("有进程占用存储，却不应答", "查看该进程和日志；必要时重启中继"),
            ("a process holds the store and does not answer", "look at it and its log; restart the relay if need be"),
        ),
        # Keys and directory.
        "KEY_OK": (("签名密钥有效", ""), ("the signing key is valid", "")),
        "KEY_ENDS_SOON": (
            ("签名密钥即将到期", "联系网络管理员更换密钥"),
            ("the signing key ends soon", "ask the network's administrator for a new one"),
        ),
        "KEY_ENDED": (
            ("签名密钥已过期，别的单位不再接受", "立即联系网络管理员更换密钥"),
            ("the signing key has ended, nobody accepts it", "ask the network's administrator for a new one now"),
        ),
        "KEY_REVOKED": (
            ("签名密钥已被吊销", "联系网络管理员"),
            ("the signing key was revoked", "speak to the network's administrator"),
        ),
        "KEY_UNKNOWN": (
            ("名录中没有本单位或其密钥，或单位已停用", "联系网络管理员"),
            ("the directory does not have this office or its key as active", "speak to the network's administrator"),
        ),
        "KEY_SUITE": (
            ("网络不再允许本单位签名密钥的算法", "联系网络管理员，换发允许的套件的密钥"),
            ("the network does not allow the algorithm of the signing key", "renew it for a suite that is allowed"),
        ),
        "SUITE_MISSING": (
            ("网络允许国密套件，而本机没有国密算法库", "在中继的环境中执行 pip install 'gmssl-pyx>=2.1,<3'"),
            ("the network allows suite 3, whose library is missing", "run: pip install 'gmssl-pyx>=2.1,<3'"),
        ),
        "KEYS_UNREADABLE": (
            ("读不到密钥", "看详情；从备份恢复 HOME/keys"),
            ("the keys cannot be read", "see the detail; restore HOME/keys from a backup"),
        ),
        "WRONG_PASSPHRASES": (
            ("有人用错误的口令试过密钥文件", "查明是谁；如非本人，运行 relay keys passwd 更换口令并检查谁能接触该机器"),
            (
                "somebody tried wrong passphrases on a key file",
                "find out who; if it was nobody of yours, see who can reach this machine",
            ),
        ),
        "STORAGE_KEY_BARE": (
            ("存储密钥仍以明文存放：更改保管方式时中断", "再运行一次 relay keys passwd"),
            ("the storage key still lies bare: a change was interrupted", "run relay keys passwd again"),
        ),
        "TRUST_OK": (("网络名录有效", ""), ("the network directory is in force", "")),
        "TRUST_STALE": (
            ("网络名录已旧", "检查与上级的链路；上级恢复后会自动更新"),
            ("the network directory is old", "look at the link upward: a newer one comes by itself"),
        ),
        "TRUST_EXPIRED": (
            ("网络名录过旧，不再受理信息", "恢复与上级的链路，或联系网络管理员"),
            (
                "the network directory is too old, nothing is accepted",
                "mend the link upward, or speak to the network's administrator",
            ),
        ),
        "TRUST_FILES": (
            ("磁盘上有名录文件已损坏，正使用完好的一份", "检查磁盘；下次更新会重写"),
            ("files of the directory are damaged on disk, a sound copy is in use", "look at the disk"),
        ),
        "TRUST_UNREADABLE": (
            ("读不到网络名录", "从备份恢复 HOME/trust"),
            ("the network directory cannot be read", "restore HOME/trust from a backup"),
        ),
        "PREKEY_OK": (("预置公钥有效", ""), ("the prekey that others seal to is valid", "")),
        "PREKEY_ENDS_SOON": (
            ("预置公钥即将到期", "查看日志中的更新情况；联系网络管理员"),
            ("the prekey ends soon and was not renewed", "look for its renewal in the log"),
        ),
        "PREKEY_ENDED": (
            ("预置公钥已过期：发给本单位的信息都在等待", "联系网络管理员"),
            ("the prekey has ended: what is sent to us waits", "speak to the network's administrator"),
        ),
        "PREKEY_MISSING": (
            ("没有预置公钥：发给本单位的信息都在等待", "联系网络管理员"),
            ("there is no prekey: what is sent to us waits", "speak to the network's administrator"),
        ),
        "VALIDITY_OK": (("密钥、证书和签名文件近期不到期", ""), ("keys, certificates and signed files last", "")),
        "VALIDITY_ENDS_SOON": (
            ("有密钥、证书或签名文件即将到期", "relay keys needs-renewal 列出全部；按所示命令更新"),
            ("something ends soon", "relay keys needs-renewal lists all of it; run the commands shown"),
        ),
        "VALIDITY_ENDED": (
            ("有密钥、证书或签名文件已经到期", "relay keys needs-renewal 列出全部；立即按所示命令更新"),
            ("something has ended", "relay keys needs-renewal lists all of it; run the commands shown at once"),
        ),
        # Clock.
        "CLOCK_OK": (("时钟可信", ""), ("the clock is believed", "")),
        "CLOCK_HELD": (
            ("时钟跳变，未经确认前不按它判定过期", "校准时钟；确认无误后运行 relay clock accept"),
            ("the clock jumped and is not believed", "set it right; if it is right, run relay clock accept"),
        ),
        "CLOCK_BEHIND": (
            ("时钟早于名录的签发时间", "校准时钟（NTP）"),
            ("the clock is behind a signed time", "set it right (NTP)"),
        ),
        # Memory.
        "MEMORY_OK": (("内存不会换出，也不留转储", ""), ("memory is not swapped and leaves no core", "")),
        "MEMORY_OPEN": (
            ("密钥可能随内存写到磁盘", "用本项目的 systemd 单元运行（LimitMEMLOCK=infinity），或加密交换区"),
            (
                "keys may reach a disk with the memory",
                "run it by our systemd units (LimitMEMLOCK=infinity), or encrypt the swap",
            ),
        ),
        # Traffic.
        "LINKS_OK": (("所有消息代理已连接", ""), ("all brokers are connected", "")),
        "LINKS_NONE": (
            ("没有配置消息代理：受理的信息都在等待", "在 relay.toml 中加入 [[brokers]]"),
            ("no broker is set: what is accepted waits", "add [[brokers]] to relay.toml"),
        ),
        "LINKS_SOME_DOWN": (
            ("部分消息代理未连接", "检查网络、端口和证书；relay status 有最近错误"),
            (
                "some brokers are not connected",
                "look at network, port and certificate; see relay status",
            ),
        ),
        "LINKS_DOWN": (
            ("没有连上任何消息代理：信息只进不出", "检查网络、端口和证书；relay status 有最近错误"),
            ("no broker is connected: nothing leaves", "look at network, port and certificate; see relay status"),
        ),
        "QUEUE_OK": (("队列正常", ""), ("the queues move", "")),
        "QUEUE_OLD": (
            ("有信息等待过久", "relay queue list 查看原因：对方离线或没有路径"),
            ("something has waited too long", "see relay queue list: its recipient is away, or there is no way"),
        ),
        "OVERDUE_NONE": (("没有逾期信息", ""), ("nothing is overdue", "")),
        "OVERDUE_SOME": (
            ("有信息超过期限仍未送达", "relay overdue 查看；必要时电话告知对方"),
            ("messages are past their deadline", "see relay overdue; call the recipient if need be"),
        ),
        # The audit log.
        "AUDIT_OK": (("审计日志完整", ""), ("the audit log is whole", "")),
        "AUDIT_CHANGED": (
            ("审计日志被改动或损坏", "relay audit verify 查看位置；保留现场，报告安全负责人"),
            ("the audit log was changed or damaged", "see relay audit verify; touch nothing and tell who is in charge"),
        ),
        "AUDIT_ACCEPTED": (
            ("审计日志有已确认的损坏", "到保存期满为止核验仍会列出"),
            ("the audit log is damaged, and an operator has accepted that", "verify shows it until retention ends"),
        ),
        "AUDIT_UNWRITABLE": (
            ("审计日志写不进去，记录暂存内存", "检查磁盘空间和 HOME/audit 的权限"),
            ("the audit log cannot be written, its notes wait in memory", "look at disk space and modes of HOME/audit"),
        ),
        "AUDIT_UNREADABLE": (
            ("无法核验审计日志", "看详情，先解决存储或密钥的问题"),
            ("the audit log cannot be checked", "see the detail; mend store or keys first"),
        ),
        # Alarms (relay/alarms.py).
        "ALARMS_NONE": (("没有告警", ""), ("no alarm sounds", "")),
        "AUDIT_DAMAGED": (
            (
                "告警：审计日志被改动、损坏或写不进去",
                "relay audit verify；保留现场，报告安全负责人；查明后 relay audit accept",
            ),
            (
                "alarm: the audit log was changed, damaged or cannot be written",
                "see relay audit verify; touch nothing; once it is known why, run relay audit accept",
            ),
        ),
        "CLOCK_JUMP": (
            ("告警：时钟跳变", "校准时钟；确认无误后运行 relay clock accept"),
            ("alarm: the clock jumped", "set it right; if it is right, run relay clock accept"),
        ),
        "CLOCK_SKEW": (
            ("告警：邻近单位的时钟与本机不同", "校准双方时钟（NTP）"),
            ("alarm: clocks of neighbours differ from ours", "set them right (NTP), there and here"),
        ),
        "CLONED": (
            ("告警：本单位主目录有另一份副本在运行", "立即停掉副本；只留一份"),
            ("alarm: a copy of this home runs elsewhere", "stop the copy now; only one may run"),
        ),
        "DAMAGED_ROWS": (
            ("告警：存储中有记录损坏", "运行 relay fsck；检查磁盘"),
            ("alarm: rows of the store are damaged", "run relay fsck; look at the disk"),
        ),
        "OFFICE_REVOKED": (
            ("告警：有单位或其密钥被吊销", "查看详情；存疑的信息请打电话核实：relay inbox list"),
            ("alarm: an office or a key of it was revoked", "call about what is doubted: relay inbox list"),
        ),
        "OFFICE_SUSPENDED": (
            ("告警：有单位被暂停，其信息暂不接收", "紧急事项请打电话；等待网络管理员确认或解除"),
            (
                "alarm: an office is suspended, nothing of it is taken",
                "call it if it is urgent; wait for the administrator",
            ),
        ),
        "RESTORED": (
            ("告警：本单位主目录被恢复到较早的状态", "核对最近收发的信息，再运行 relay home accept"),
            (
                "alarm: this home is in an earlier state",
                "compare what came and went, then run relay home accept",
            ),
        ),
        "TRUST_BEHIND": (
            ("告警：已有更新的网络名录，本单位尚未取得", "检查与上级的链路；必要时 relay keys pull"),
            (
                "alarm: there is a newer directory, which we do not have yet",
                "look at the link upward, or relay keys pull",
            ),
        ),
        "TRUST_FORK": (
            ("告警：有单位的网络名录与本单位同版不同文", "立即联系网络管理员：签发密钥可能已泄露"),
            ("alarm: two directories of one version", "speak to the network's administrator: keys may be stolen"),
        ),
        "TRUST_NOT_KEPT": (
            ("告警：新的网络名录已生效，但未能写入磁盘", "检查磁盘空间和目录权限；恢复后会自动写入"),
            (
                "alarm: the network directory in force could not be written",
                "look at the disk: its room, and the modes of trust/",
            ),
        ),
        "TRUST_OLD": (
            ("告警：网络名录已旧，可能还不知道有单位被吊销", "检查与上级的链路；上级恢复后会自动更新"),
            ("alarm: the network directory is old, revocations may be missing", "look at the link upward"),
        ),
    }
)


def advice(code: str, lang: str) -> Words:
    """What is, and the next step, in `zh_CN` or `en`; a code that is not known says itself."""
    words = ADVICE.get(code)
    if words is None:
        return code, ""
    return words[0] if lang == "zh_CN" else words[1]
