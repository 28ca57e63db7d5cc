from relay.alarms import Alarms


def test_an_alarm_keeps_its_first_time_and_its_newest_detail_until_it_is_over() -> None:
    alarms = Alarms()
    alarms.sound("CLOCK_SKEW", 5, "61 s")
    alarms.sound("RESTORED", 3, "behind")
    alarms.sound("CLOCK_SKEW", 9, "75 s")
    assert [(one.code, one.since_us, one.detail) for one in alarms] == [
        ("RESTORED", 3, "behind"),
        ("CLOCK_SKEW", 5, "75 s"),
    ]
    alarms.clear("CLOCK_SKEW")
    alarms.clear("CLOCK_SKEW")
    assert "CLOCK_SKEW" not in alarms
    assert "RESTORED" in alarms
