"""What the demo says: key → (Chinese, English)."""

from types import MappingProxyType
from typing import Any, Final

WORDS: Final = MappingProxyType(
    {
        # Frame.
        "title": ("驿站演示：一份报告的旅程", "Yizhan demo: the way of a report"),
        "suite": ("密码套件 {suite}：{name}", "cipher suite {suite}: {name}"),
        "passed": ("演示通过，用时 {seconds} 秒。", "The demo passed in {seconds} s."),
        "kept": ("全部文件保留在 {directory}", "All files are kept in {directory}"),
        "logs": (
            "\n加 --keep DIR 再运行一次，可在 DIR/logs 查看日志。",
            "\nRun it with --keep DIR to read the logs in DIR/logs.",
        ),
        # Act 0.
        "network": ("搭建网络：省 – 市 – 两县", "The network: province – city – two counties"),
        "lab_made": (
            "建好网络：根指纹 {root_fingerprint}，4 个单位，2 个代理（TLS 客户端证书、按单位授权）",
            "made: root {root_fingerprint}, 4 offices, 2 brokers (TLS client certificates, permissions per office)",
        ),
        "all_ready": ("2 个代理和 4 个守护进程已就绪，全部连通", "2 brokers and 4 daemons are ready and connected"),
        # Act 1.
        "report": (
            "一、联系点县经市转省报送一份报告",
            "1. A report from the liaison county, through the city, to the province",
        ),
        "report_accepted": (
            "{by} 受理《{title}》（{source}），附件 {attachment_bytes} 字节",
            "{by} accepted “{title}” ({source}) with an attachment of {attachment_bytes} bytes",
        ),
        "custody": (
            "市 {by} 出具保管回执，验签通过，+{ms} 毫秒",
            "the city {by} signed for custody, verified, +{ms} ms",
        ),
        "delivered": (
            "省 {by} 出具送达回执，验签通过，+{ms} 毫秒",
            "the province {by} confirmed delivery, verified, +{ms} ms",
        ),
        "same_bytes": (
            "省收到的正文和附件与发出的逐字节一致",
            "body and attachment at the province are the sent ones, byte for byte",
        ),
        "approved": (
            "{reviewer} 审核、{issuer} 签发：签名封在内容中，省验证通过",
            "{reviewer} reviewed and {issuer} issued it: signed inside the content, verified at the province",
        ),
        "city_inbox_empty": ("市的收件箱是空的：它只转递", "the city's inbox is empty: it only carries"),
        "city_cannot_read": (
            "市看不到内容：{marks} 段明文标记在市和代理的 {files} 个文件中都搜不到（在省保存的副本中搜到 {found} 段）",
            "the city cannot read it: {marks} marks of plain text: 0 in {files} files there, {found} at the province",
        ),
        "signed_for": (
            "省 {person} 签收，回执验签通过（{mode}）",
            "{person} at the province signed for it, verified ({mode})",
        ),
        # Act 2.
        "screening": ("二、非联系点县由市筛选转报", "2. The other county reports through the city's screening"),
        "not_liaison": ("{by} 直报省被拒：{code}", "{by} may not report to the province itself: {code}"),
        "screened_to_city": ("{by} 报市，已送达", "{by} reports to the city: delivered"),
        "forwarded": ("市转报省，已送达", "the city forwards it to the province: delivered"),
        "original_inside": (
            "转报件内含 {by} 原件及其签名，验证通过，摘要一致",
            "inside is the original with the signature of {by}: verified, same digest",
        ),
        # Act 3.
        "broker_killed": ("三、代理被 kill -9，特提先行", "3. The broker is killed with kill -9; flash goes first"),
        "killed": (
            "{under_way} 份平急报告发送途中 kill -9 市代理（进程 {pid}），此时省收到 {arrived} 份",
            "{under_way} routine reports set out, then kill -9 of the city's broker (pid {pid}): {arrived} had arrived",
        ),
        "queued": (
            "断线期间照常受理：{count} 份平急报告，最后是 1 份特提",
            "accepted while it is down: {count} routine reports, and after them 1 flash",
        ),
        "broker_back": ("代理重启", "the broker is started again"),
        "flash_first": (
            "特提 +{flash_ms} 毫秒送达，超越先报的平急件 {overtaken}/{backlog} 份；最后一份平急件 +{last_ms} 毫秒",
            "flash delivered +{flash_ms} ms, ahead of {overtaken} of {backlog} routine ones, the last +{last_ms} ms",
        ),
        "nothing_lost": (
            "发出 {sent} 份，省收到 {received} 份：无丢失，无重复",
            "{sent} sent, {received} at the province: none lost, none twice",
        ),
        "all_delivered": ("{count} 份送达回执全部验签通过", "{count} delivery receipts, all verified"),
        "no_quarantine": ("没有一条数据被隔离", "nothing was quarantined"),
        # Act 4.
        "evidence": ("四、离线核验证据", "4. Evidence, verified offline"),
        "all_stopped": (
            "4 个守护进程收到 SIGTERM 后正常退出（{seconds} 秒），代理已停",
            "4 daemons ended cleanly on SIGTERM ({seconds} s), brokers too",
        ),
        "verified_offline": (
            "以本网络的根核验证据文件（{bytes} 字节）：正文、{receipts} 份回执、信任链均有效",
            "checked against the lab's root ({bytes} bytes): message, {receipts} receipts and trust chain hold",
        ),
        "forgery_found": ("改动一个字节即被识破（退出码 {exit}）", "one changed byte is found out (exit {exit})"),
        # Act 5.
        "closing": ("五、小结", "5. Summary"),
        "row_sent": ("发出 / 送达", "sent / delivered"),
        "row_lost": ("丢失 / 重复", "lost / duplicated"),
        "row_refused": ("按规则拒绝", "refused by the rules"),
        "row_report": ("报告：受理至送达", "report: accepted to delivered"),
        "row_flash": ("特提：代理恢复至送达", "flash: broker back to delivered"),
        "row_backlog": ("积压清空：代理恢复至末份送达", "backlog: broker back to the last delivered"),
        "row_memory": ("守护进程最大内存", "largest daemon"),
    }
)


def tell(key: str, lang: str, **values: Any) -> str:
    """The words under `key` with the values filled in."""
    chinese, english = WORDS[key]
    return (chinese if lang == "zh_CN" else english).format(**values)
