"""Plans for tests."""

SMALL = """
network = "lab"

[[brokers]]
id = "province"
engine = "mosquitto"
port = 18831
connect_port = 18841

[[brokers]]
id = "yancheng"
engine = "nats"
port = 18832
tls = false

[[offices]]
address = "320000-GO"
name = "江苏省人民政府办公厅"
class = "province"
brokers = ["province"]

[[offices]]
address = "320900-GO"
class = "city"
parent = "320000-GO"
brokers = ["province", "yancheng"]

[offices.connect]
province = 18855

[offices.settings.links]
retry_max_s = 3.5

[[offices]]
address = "320924-GO"
class = "county"
parent = "320900-GO"
standing = "liaison"
brokers = ["yancheng"]

[[persons]]
name = "王主任"
office = "320900-GO"
roles = ["reviewer", "issuer"]

[rules]
require_reviewer = ["report"]
emergency_bypass = "copy_city"

[groups]
"@coast" = ["320924-GO"]

[settings.links]
retry_min_s = 0.1

[settings.links.patience_s]
flash = 2
"""
