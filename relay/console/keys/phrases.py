"""What the commands of the network's administrators say: key → (Chinese, English)."""

from types import MappingProxyType
from typing import Final

PHRASES: Final = MappingProxyType(
    {
        "act_done": ("已签署：{act}（名录第 {version} 版）", "Signed: {act} (directory {version})"),
        "rules_suites": ("允许的套件：{value}", "suites allowed:      {value}"),
        "rules_reviewers": ("须审核的类别：{value}", "need a reviewer:     {value}"),
        "rules_issuers": ("须签发的类别：{value}", "need an issuer:      {value}"),
        "rules_bypass": ("应急直报：{value}", "emergency bypass:    {value}"),
        "act_pending": ("待签：{act}，存于 {file}", "Waits for signatures: {act}, kept as {file}"),
        "act_missing": (
            "  角色 {role}：已签 {holders}，还差 {missing} 个签名",
            "  role {role}: signed by {holders}, {missing} more needed",
        ),
        "act_next": (
            "请另一位管理员运行同一命令，或在其机器上运行 relay keys pending sign FILE。",
            "Another administrator runs the same command, or relay keys pending sign FILE on another machine.",
        ),
        "act_dropped": ("已撤下：{act}", "Dropped: {act}"),
        "act": ("事项", "Act"),
        "holders": ("已签", "Signed by"),
        "act_lacks": ("还差", "Missing"),
        "type": ("类型", "Type"),
        "called": ("名称", "Name"),
        "of": ("属于", "Of"),
        "expires_at": ("有效期至", "Valid until"),
        "file": ("文件", "File"),
        "network_founded": ("网络“{network}”已建于 {home}", "The network {network} is founded in {home}"),
        "network_files": (
            "密钥文件（各自另存于一份介质，并离线保管）：",
            "Key files, each to be kept off line on a medium of its own:",
        ),
        "network_next": (
            "下一步，在网络中心单位的机器上：relay --home DIR keys init --network {network} --root {fingerprint} …",
            "Next, on the network office's side: relay --home DIR keys init --network {network} --root {fingerprint}",
        ),
        "network_then": (
            "然后在此：relay --home {home} keys approve REQUEST -o RESPONSE",
            "Then here: relay --home {home} keys approve REQUEST -o RESPONSE",
        ),
        "directory_written": (
            "名录第 {version} 版已写入 {file}",
            "Directory {version} is written to {file}",
        ),
        "directory_published": (
            "名录第 {version} 版已发布，代理：{brokers}",
            "Directory {version} is published on: {brokers}",
        ),
        "directory_taken": ("已取得名录第 {version} 版", "Directory {version} is taken"),
        "directory_known": ("已是最新：名录第 {version} 版", "Nothing newer: directory {version}"),
        "act_publish": ("尚未发布。发布请运行：{command}", "Not published yet. To publish, run: {command}"),
    }
)

EFFECTS: Final = MappingProxyType(
    {
        "role": "角色 {role}：{changes}，须 {threshold} 人签名",
        "fingerprint": "根指纹：{fingerprint}",
        "suspensions": "角色 suspensions：新增 {come} 把密钥，去除 {go} 把",
        "network": "网络名称：{old} → {new}",
        "rule": "规则“{name}”：{old} → {new}",
        "group": "分组 {name}：{changes}",
        "planned": "{office} 自 {at} 起：{changes}",
        "key": "密钥 {id}",
        "as": "，角色 {roles}",
        "until": "，有效期至 {day}",
        "since": "自 {at} 起吊销",
        "suspended": "暂停 {office} 至 {at}，理由：{reason}",
        "lifted": "解除对 {office} 的暂停",
        "none": "无",
        "address": "地址",
        "brokers": "代理",
        "former": "曾用地址",
        "name": "名称",
        "office_class": "类别",
        "parent": "上级单位",
        "standing": "报送资格",
        "state": "状态",
        "successor": "继任单位",
        "suites": "允许的套件",
        "require_reviewer": "须审核的类别",
        "require_issuer": "须签发的类别",
        "emergency_bypass": "应急直报",
    }
)
"""What an act changes, in Chinese (`keys/ceremony/effects.py`)."""
