"""The connections of a simulated office: MQTT as the engine knows it, to brokers in memory."""

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

from protocol.limits import SECOND_US
from relay.connecting import Hooks
from relay.mqtt import Will
from relay.mqtt_link import LinkState
from relay.ports import Arrived, LinkChanged
from tests.sim.broker import Broker, Message, office_of

RECONNECT_S = (0.2, 2.0)
BARRED_S = 600.0
"""How long a link waits that its broker refuses."""
TRAVEL_S = (0.001, 0.003)


class Link:
    """One connection of an office, reconnecting for ever."""

    def __init__(
        self, broker: Broker, group: str, client: str, hooks: Hooks, dice: random.Random,
        failed: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self.broker = broker
        self.group = group
        self.cut = False
        self.deaf = False
        self.mute = False
        self._client = client
        self._hooks = hooks
        self._dice = dice
        self._up = False
        self._will: Will | None = None
        self._ended = asyncio.Event()
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._take_in())]
        for task in self._tasks:
            task.add_done_callback(partial(_report, failed=failed))
        self._acks: dict[asyncio.Future[bool], None] = {}

    @property
    def up(self) -> bool:
        return self._up

    async def _run(self) -> None:
        while True:
            if office_of(self._client) in self.broker.barred:
                await asyncio.sleep(BARRED_S)
                continue
            if self.broker.up and not self.cut:
                await self._live()
            await asyncio.sleep(self._dice.uniform(*RECONNECT_S))

    async def _live(self) -> None:
        self._will = will = self._hooks.will_for(self.broker.name, self.group)
        self._ended.clear()
        self._up = True
        self.broker.attach(self._client, tuple(self._hooks.filters[self.group]), self)
        try:
            await self._hooks.on_changed(LinkChanged(self.broker.name, self.group, True, None))
            await self._ended.wait()
        finally:
            self._up = False
            self.broker.detach(self._client, self, will)
        await self._hooks.on_changed(LinkChanged(self.broker.name, self.group, False, "broken"))

    async def _take_in(self) -> None:
        """One message at a time, as the real link does."""
        while True:
            message = await self._arrived.get()
            await self._hooks.on_arrived(Arrived(self.broker.name, message.topic, message.payload, message.retained))

    def arrives(self, message: Message, late_s: float) -> None:
        """The broker hands over a message; after the usual time, or later."""
        if self.deaf:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self._dice.uniform(*TRAVEL_S) + late_s, self._arrived.put_nowait, message)

    def broken(self) -> None:
        """The connection is gone."""
        self._ended.set()
        for ack in list(self._acks):
            if not ack.done():
                ack.set_result(False)

    def given_up(self) -> None:
        """The broker heard nothing for too long: it publishes the will and forgets the connection."""
        if self._up:
            self.broker.detach(self._client, self, self._will)
        self.broken()

    def stop(self, *, politely: bool) -> None:
        """The end of the office's process: with a DISCONNECT, or without."""
        self._up = False
        if politely:
            self.broker.detach(self._client, self, None)
        for task in self._tasks:
            task.cancel()
        self.broken()

    async def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        if not self._up or self._ended.is_set():
            return False
        ack: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._acks[ack] = None
        try:
            if self.mute or self._dice.random() < self.broker.malice.deaf:
                async with asyncio.timeout(10):
                    return await ack
            self.broker.publish(self._client, topic, payload, retain=retain)
            asyncio.get_running_loop().call_later(self._dice.uniform(0.001, 0.004), _acknowledge, ack)
            return await ack
        except TimeoutError:
            self.broken()
            return False
        finally:
            self._acks.pop(ack, None)

    def state(self) -> LinkState:
        return LinkState(self.broker.name, self.group, "connected" if self._up else "waiting", SECOND_US, None)


def _report(task: "asyncio.Task[None]", failed: Callable[[BaseException], None]) -> None:
    """A hook of the engine raised something: the daemon would end."""
    if not task.cancelled() and (error := task.exception()) is not None:
        failed(error)


def _acknowledge(ack: "asyncio.Future[bool]") -> None:
    if not ack.done():
        ack.set_result(True)


class SimLinks:
    """`relay.connecting.Links` to brokers in memory."""

    def __init__(
        self, brokers: dict[str, Broker], client: str, hooks: Hooks, dice: random.Random,
        on_start: Callable[[str, str], None], failed: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        """`on_start(group, topic)` is told of every publish as it starts, `failed` of errors that the engine raised."""
        self._brokers = brokers
        self._on_start = on_start
        self._failed = failed
        self._client = client
        self._hooks = hooks
        self._dice = dice
        self.open: dict[tuple[str, str], Link] = {}

    async def start(self) -> None:
        for name, broker in self._brokers.items():
            for group in self._hooks.filters:
                self.open[name, group] = Link(
                    broker, group, f"{group}-{self._client}", self._hooks, self._dice, self._failed
                )

    async def stop(self) -> None:
        self.end(politely=True)

    def end(self, *, politely: bool) -> None:
        for link in self.open.values():
            link.stop(politely=politely)
        self.open.clear()

    async def publish(self, broker: str, group: str, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        link = self.open.get((broker, group))
        self._on_start(group, topic)
        return link is not None and await link.publish(topic, payload, retain)

    async def subscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """No trust files travel here."""
        return (broker, group) in self.open

    async def unsubscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """No trust files travel here."""
        return (broker, group) in self.open

    def renew(self) -> None:
        for link in self.open.values():
            link.broken()

    def links(self) -> list[LinkState]:
        return [link.state() for link in self.open.values()]
