"""密钥与名录方面细节的中文。Chinese of the details about keys, offices, persons and the directory."""

from types import MappingProxyType
from typing import Final

DETAILS: Final = MappingProxyType(
    {
        # Key files and passphrases.
        "a key in a token is of Ed25519": "令牌中的密钥须为 Ed25519",
        "a person's key is sealed under a passphrase, this is not": "人员密钥由口令封存，此文件不是",
        "a storage key has {} bytes, this has {}": "存储密钥为 {} 字节，此文件有 {}",
        "a token is named by its library and its label": "令牌须由其库和标签指明",
        "gmssl_pyx cannot be imported": "无法载入 gmssl_pyx",
        "input is no terminal and there is no --passphrase-file": "输入不是终端，也没有 --passphrase-file",
        "it belongs to user {}, not to user {}": "它属于用户 {}，不属于用户 {}",
        "it does not open": "打不开",
        "it holds a secret of kind {}, not a person's": "其中是 {} 类密钥，不是人员密钥",
        "it holds a secret of kind {}, not {}": "其中是 {} 类密钥，不是 {}",
        "it holds {} keys with the id {}, not 1": "其中编号为 {1} 的密钥有 {0} 把，应为 1 把",
        "it is cut short or altered ({})": "它被截断或改动（{}）",
        "it is empty": "它是空的",
        "it is longer than {} bytes": "它超过 {} 字节",
        "it is not a key file": "它不是密钥文件",
        "it is not a regular file": "它不是普通文件",
        "it is of a version that this program does not know": "它的版本为本程序所不知",
        "it is sealed under {}": "它由{}封存",
        "a passphrase": "口令",
        "the storage key": "存储密钥",
        "its public part is not that of a signing key within": "其公开部分与其中的签名密钥不符",
        "keys/identity.key does not say whose it is": "keys/identity.key 没有写明属于谁",
        "keys/identity.key is not a key of this office in the directory": "keys/identity.key 不是名录中本单位的密钥",
        "a key for {} has {} secret bytes": "{} 的密钥有 {} 字节秘密",
        "mode {} lets other users in": "权限 {} 允许其他用户访问",
        "nobody can be asked for the passphrase of {}: {}": "无人可问 {} 的口令：{}",
        "none was given for {}": "没有给出 {} 的口令",
        "only the storage key of a home is kept elsewhere": "只有主目录的存储密钥可以另处保管",
        "systemd gives the storage key: change its credential": "存储密钥由 systemd 给出：请更改其凭据",
        "the extra hsm (python-pkcs11) is not installed": "没有安装附加组件 hsm（python-pkcs11）",
        "[hsm] module is not set": "没有设置 [hsm] module",
        "the storage key is under a token, and [hsm] module is not set": "存储密钥在令牌中，而没有设置 [hsm] module",
        "there is no such file": "没有这个文件",
        "a public key of {} bytes is no Ed25519 key": "{} 字节的公钥不是 Ed25519 密钥",
        "{} has {} secrets {}, not 1": "{0} 中有 {1} 个 {2}，应为 1 个",
        "{} has {} tokens {}": "{0} 中有 {1} 个令牌 {2}",
        "{} is opened by the storage key, which has a passphrase: leave FILE out": (
            "{} 由存储密钥打开，后者有口令：请勿给出 FILE"
        ),
        "{} makes no Ed25519 keys": "{} 不能生成 Ed25519 密钥",
        "{}: the PIN is no text": "{}：PIN 不是文本",
        "{}; a daemon takes it from the systemd credential {}": "{}；守护进程从 systemd 凭据 {} 取得",
        # Homes and backups.
        "a backup takes {} bytes in {} files at most": "备份最多 {1} 个文件、{0} 字节",
        "another `relay keys` is at work in {}": "另一个 `relay keys` 正在 {} 中运行",
        "it is no backup that this program knows ({})": "它不是本程序所认的备份（{}）",
        "the backup holds no storage key": "备份中没有存储密钥",
        "the backup is of network {}, root {}": "备份属于网络 {}，根 {}",
        "{} exists and is never overwritten": "{} 已存在，从不覆盖",
        "{} exists and is not empty": "{} 已存在且不为空",
        "{} exists and is not the key of {}": "{} 已存在，且不是 {} 的密钥",
        "{} has a network/: it is a network administrator's directory, no office's": (
            "{} 中有 network/：是网络管理员目录，不是单位主目录"
        ),
        "{} has keys for {} in {}, made by a run that was interrupted": (
            "{0} 中已有网络 {2} 中 {1} 的密钥，由一次中断的运行生成"
        ),
        "{} has keys; they are never overwritten": "{} 中已有密钥，从不覆盖",
        "{} has no network/: it is not a network administrator's directory": "{} 中没有 network/：不是网络管理员目录",
        "{} holds a network already": "{} 中已有网络",
        "{} is a network administrator's directory": "{} 是网络管理员目录",
        "{} is never overwritten": "{} 从不覆盖",
        "{} is of another home or ceremony": "{} 属于另一个主目录或另一次仪式",
        # Requests and answers.
        "a key of it is used already": "其中有密钥已被使用",
        "a name is printable text on one line": "名称须为一行可显示的文字",
        "a name is printable text on one line, for one request at a time": (
            "名称须为一行可显示的文字，一次只用于一份申请"
        ),
        "a reason is printable text of up to 200 characters on one line": "理由须为一行可显示的文字，不超过 200 个字符",
        "a reason is printable text on one line": "理由须为一行可显示的文字",
        "a request to network {}": "申请加入的是网络 {}",
        "an administrator has refused this very request": "已有管理员驳回这份申请",
        "an office of the network has it": "网内已有单位使用它",
        "at most {} requests at once": "一次最多 {} 份申请",
        "broker ids are letters, digits, - and _, each once": "代理编号由字母、数字、- 和 _ 组成，各列一次",
        "it answers a request of {}": "它答复的是 {} 的申请",
        "it was approved; revoke the office instead": "它已获批准；请改为吊销该单位",
        "it was made for the root {}…, which this network never had": "它针对的根 {}… 本网络从未有过",
        "it was refused before": "它此前已被驳回",
        "its certificate is not for the TLS key of this home": "其证书不是为本主目录的 TLS 密钥所发",
        "its directory allows no suite of this home's signing key": "其名录不允许本主目录签名密钥的套件",
        "its directory does not hold this office with these keys": "其名录中没有持这些密钥的本单位",
        "its office id is another office's": "其单位编号属于另一单位",
        "no key in force vouches for this renewal": "没有现行密钥为此次更新担保",
        "no office of the network has this id and address": "网内没有此编号和地址的单位",
        "the class of {} is not said, neither there nor here": "{} 的类别在申请和命令中都没有写明",
        "the network allows no suite of its identity key": "网络不允许其身份密钥的套件",
        "the network does not allow that suite": "网络不允许该套件",
        "the response was issued later than it is here": "答复的签发时间晚于本机时间",
        "two requests of this batch are for it": "这一批中有两份申请要用它",
        "{} was taken in and has been revoked since": "{} 曾经入网，此后已被吊销",
        "a rotation of {} has begun in {}; install its answer, or `keys rotate cancel`": (
            "{1} 中已开始更换 {0}；请安装其答复，或运行 `keys rotate cancel`"
        ),
        # Ceremonies and acts.
        "keys of another ceremony: {}": "另一次仪式的密钥：{}",
        "line {} of the journal does not fit the one before it": "日志第 {} 行与前一行不相接",
        "neither an office nor a role: {}": "既不是单位也不是角色：{}",
        "no act waits": "没有待签事项",
        "no act {} waits": "没有待签事项 {}",
        "no snapshot key of the newest root is in {}": "{} 中没有最新根的 snapshot 密钥",
        "role {} has no key {}": "角色 {} 没有密钥 {}",
        "role {}: {} more of its keys must be opened": "角色 {}：还须打开 {} 把密钥",
        "the act was begun later than it is here": "该事项发起的时间晚于本机时间",
        "the directory is of another network": "名录属于另一个网络",
        "the name of a network is printable text on one line": "网络名称须为一行可显示的文字",
        "{} acts wait already": "已有 {} 项待签",
        "{} is not M/N with 1 to N of at most 10 keys": "{} 不是 M/N：M 为 1 至 N，N 最多 10",
        "{} of {} keys could never sign": "{1} 把密钥凑不齐 {0} 个签名",
        "{} waits under the name “{}”": "{} 正以“{}”之名待签",
        "{} was made before and must be opened to go on": "{} 此前已生成，须打开它才能继续",
        "“{}” comes first": "“{}”在先",
        # Publishing.
        "[network] office_home of relay.toml is empty and there is no --office-home; or use --to-file": (
            "relay.toml 的 [network] office_home 为空，也没有 --office-home；或改用 --to-file"
        ),
        "an office's daemon takes newer directories by itself; a file is given with --from-file": (
            "单位的守护进程会自行取得更新的名录；文件用 --from-file 给出"
        ),
        # Offices, persons, rules.
        "a change begins now or later": "变更只能自现在或以后开始",
        "a key id has {} hexadecimal digits": "密钥编号为 {} 位十六进制数",
        "a name is one printable line of 1 to 200 characters": "姓名须为一行 1 至 200 个可显示的字符",
        "a network has at most {} offices": "一个网络最多 {} 个单位",
        "a revocation cannot begin in the future": "吊销不能自将来开始",
        "it is revoked since an earlier time, which cannot be moved forward": "它自更早的时间起已被吊销，不能改晚",
        "later changes are planned of {}; cancel them first": "{} 已有更晚的变更计划；请先取消",
        "no bypass is called {}": "没有名为 {} 的越级规则",
        "no certificate of {} is on record": "没有 {} 的证书记录",
        "no change of {} is planned": "{} 没有变更计划",
        "no kind is called {}": "没有名为 {} 的类别",
        "roles are {}, each once": "角色为 {}，各列一次",
        "say what changes, or --cancel alone": "请写明变更内容，或单独使用 --cancel",
        "suites are some of {}": "套件为 {} 中的若干个",
        "that is before the key was valid": "该时间早于密钥生效",
        "the reason is empty": "理由为空",
        "{} has no key {}": "{} 没有密钥 {}",
        "{} has {} persons already": "{} 已有 {} 名人员",
        "{} has, had or will have it": "{} 现用、曾用或将用它",
        "{} is no date and no RFC 3339 time": "{} 既不是日期，也不是 RFC 3339 时间",
        "{} is no person of {}": "{} 不是 {} 的人员",
        "{} is no request of a person: {}": "{} 不是人员的申请：{}",
        "{} is not in the network directory": "网络名录中没有 {}",
        "{} is revoked": "{} 已被吊销",
        "{} is so already": "{} 已是如此",
        "{} is the request of {} at {}": "{0} 是 {2} 的 {1} 的申请",
        "{} of {} has a valid key already; revoke it first": "{1} 的 {0} 已有有效密钥；请先吊销",
        "{} offices have no key of an allowed suite: {}": "{} 个单位没有所允许套件的密钥：{}",
        "{} publishes the network directory, and nobody would any more; --yes revokes it all the same": (
            "{} 负责发布网络名录，吊销后将无人发布；用 --yes 仍可吊销"
        ),
        "directory {} after {}": "已有名录第 {1} 版，又来第 {0} 版",
        # Suspensions.
        "--for and --reason are both needed, the reason on one line": "--for 和 --reason 都要给出，理由为一行",
        "either --lift, or --for and --reason": "用 --lift，或同时用 --for 和 --reason",
        "it was suspended before: this one ends by {}, and another begins from {} on": (
            "它曾被暂停：此次最迟于 {} 结束，下一次最早自 {} 起"
        ),
        "the directory has no office {}": "名录中没有单位 {}",
        "the office is not suspended": "该单位没有被暂停",
        "{}; to stop it for longer, revoke it": "{}；要更久地停用它，请予以吊销",
    }
)
