"""The door: what is no frame of a neighbour becomes a suspect and stops nothing (G10)."""

from protocol.lanes import Lane
from protocol.topics import FrameTopic, frame_topic
from relay.intake import Waiting, _examine_all
from relay.ports import Arrived
from relay.receipting import ENTROPY_BYTES
from tests import world
from tests.relay.test_settlement import COPY, eyes, frame_from_county

TOPIC = FrameTopic(world.CITY_ADDRESS, Lane.FLASH, world.COUNTY_ADDRESS)
NAME = frame_topic(TOPIC.receiver, TOPIC.lane, TOPIC.sender)


def arrived(payload: bytes, *, retained: bool = False) -> Waiting:
    return Waiting(Arrived("yancheng", NAME, payload, retained), TOPIC)


def test_g10_a_retained_frame_and_junk_are_suspects_and_the_rest_of_the_batch_goes_on() -> None:
    good = frame_from_county(COPY)
    batch = [arrived(b"junk"), arrived(good, retained=True), arrived(good), arrived(good[:-1])]
    examined, suspects, left = _examine_all(batch, eyes(world.CITY), (), [bytes(8 * ENTROPY_BYTES)] * 4)
    assert [one.code for one in suspects] == ["MALFORMED", "RETAINED", "MALFORMED"]
    assert [len(one.findings) for one in examined] == [1]
    assert (suspects[1].sample, left) == (good, [])
