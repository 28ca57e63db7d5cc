"""Help texts of the commands of the network's administrators: key → (Chinese, English)."""

from types import MappingProxyType
from typing import Final

HELP: Final = MappingProxyType(
    {
        "keys init-network": (
            "建网仪式：制作根、名录、暂停等密钥和第一版（空）名录。中断后可重跑继续，从不覆盖。",
            "Found a network: its keys and its first, empty directory. Can be gone on with; overwrites nothing.",
        ),
        "keys list": ("列出角色、密钥、单位和人员。", "List roles, keys, offices and persons."),
        "keys show": (
            "显示网络概况，或一个单位、角色，或操作记录（journal）。",
            "Show the network, or one office, role or the journal.",
        ),
        "keys rules": (
            "显示网络规则：允许的套件、须审核和签发的类别、应急直报；带选项则更改。",
            "Show the network's rules (suites, approvals, the way round the city), or change those that are given.",
        ),
        "require_reviewer": (
            "须经审核的类别，可重复；none 表示都不须",
            "kind that needs a reviewer; repeat for more, none for no kind",
        ),
        "require_issuer": (
            "须经签发的类别，可重复；none 表示都不须",
            "kind that needs an issuer; repeat for more, none for no kind",
        ),
        "emergency_bypass": (
            "突发事件直报省并抄送市（copy_city），或不允许（none）",
            "incidents go to the province with a copy to the city (copy_city), or not (none)",
        ),
        "cut_off": (
            "即使有单位因此没有可用的签名密钥也更改",
            "change the suites even if offices are left without a signing key that counts",
        ),
        "keys rotate": ("更换密钥，不丢失在途信息。", "New keys in the place of old ones, no message lost."),
        "keys rotate root": ("更换全部根密钥，或 --lost 所指的几把。", "New root keys: all, or those that are --lost."),
        "keys rotate targets": (
            "更换全部名录签署密钥，或 --lost 所指的几把。",
            "New keys for signing directories: all, or those that are --lost.",
        ),
        "keys rotate suspensions": (
            "更换暂停密钥（由名录签署人签署）。",
            "New suspension keys, by the targets' holders.",
        ),
        "keys rotate snapshot": ("更换快照密钥（由根签署）。", "A new snapshot key, by the root."),
        "keys rotate timestamp": ("更换时间戳密钥（由根签署）。", "A new timestamp key, by the root."),
        "keys publish": (
            "经网络中心单位的中继发布最新名录，或写入 FILE 供携带。",
            "Publish the newest directory through the network office's relay, or write it to FILE.",
        ),
        "keys pull": (
            "取得较新的名录：从 FILE，管理员主目录还可从网络中心单位的中继取。",
            "Take a newer directory: from FILE, or for an administrator from the network office's relay.",
        ),
        "keys pending": ("等待更多签名的事项。", "Acts that wait for more signatures."),
        "keys pending list": ("列出待签事项。", "List the acts that wait."),
        "keys pending show": ("显示一项的内容和已有签名。", "Show what an act changes and who has signed it."),
        "keys pending sign": ("为第一项或 FILE 中的一项签名。", "Sign the first act, or the one in FILE."),
        "keys pending drop": ("撤下一项。", "Forget an act."),
        "keys suspend": (
            "紧急暂停一个单位，至多 72 小时，一把暂停密钥即可。",
            "Stop an office for at most 72 hours; one suspension key is enough.",
        ),
        # Options.
        "key_places": (
            "密钥文件所在的目录（如持有人带来的介质），可重复",
            "folder with key files, such as a holder's medium; repeat for more",
        ),
        "keys init-network.network": ("网络名称", "name of the network"),
        "keys init-network.office": ("网络中心单位的地址", "address of the network office"),
        "office_home": (
            "网络中心单位主目录（默认按 relay.toml 的 [network]）",
            "home of the network office (default: [network] of relay.toml)",
        ),
        "root_quorum": ("根密钥：N 把中须 M 把（默认 3/5）", "root keys: M of N must sign (default 3/5)"),
        "targets_quorum": (
            "名录签署密钥：N 把中须 M 把（默认 2/3）",
            "keys for directories: M of N must sign (default 2/3)",
        ),
        "suspensions": ("暂停密钥几把（默认 2），任一把即可", "how many suspension keys (default 2); any one suffices"),
        "suites": (
            "网络允许的密码套件：1、2 或 gm（国密），可重复（建网时默认 1 和 2）",
            "suite that the network allows: 1, 2 or gm; repeat for more (a new network: 1 and 2)",
        ),
        "media": (
            "新密钥文件写入的目录，依次分给各持有人，可重复（默认 HOME/keys）",
            "folder for new key files, dealt to the holders in turn; repeat for more (default HOME/keys)",
        ),
        "lost": ("只更换这把密钥（如 root-2），可重复", "replace this key only, such as root-2; repeat for more"),
        "quorum": ("改为 N 把中须 M 把", "from now on M of N must sign"),
        "timestamp": ("先重签时间戳（每日无人值守）", "sign the timestamp again first (daily, unattended)"),
        "to_file": ("写入文件，供携带", "write to a file, to be carried"),
        "from_file": ("带来的文件", "file that was carried here"),
        "duration": ("暂停多久，至多 72h", "how long, at most 72h"),
        "keys suspend.reason": ("暂停理由，一行", "reason, one line"),
        "lift": ("解除暂停", "end the suspension"),
    }
)
