"""Which branches are in the KV cache, cell by cell; the others wait in main memory."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtime.branching import BranchEngine
from runtime.chains import Chain, Link

HEADROOM = 32  # cells that must be left for a branch to come in, or it would leave at once
COPY_BYTES_PER_S = 2e9  # out and in, measured on main memory; a card's bus is faster
COPY_S = 2e-4  # of one copy of any size
CPU_FLOPS, CARD_FLOPS = 2e11, 5e13  # of reading tokens anew, to the order of magnitude


@dataclass(frozen=True, slots=True)
class Demand:
    """What a branch wants of the next call."""

    chain: Chain
    count: int  # tokens to append


class Residence:
    """The slots of an engine and every cell in them.

    A slot holds the beginning of one chain. What several slots hold of a link is counted once, as
    the engines do. A chain that must leave has the cells that nobody else holds copied to main
    memory, or is read again, whichever takes less by a fixed model: never by a clock, so that the
    same run repeats. `used` never exceeds the engine's context.
    """

    def __init__(self, engine: BranchEngine) -> None:
        self._engine = engine
        self.capacity = engine.context * (engine.max_branches if engine.streams else 1)
        self.used = 0
        self.copied_tokens = 0  # to main memory, so far
        self._cuts: dict[int, int] = {}  # slot -> length, still to be done
        self._spare = engine.max_branches - 1  # the slot through which copies go
        self._free = list(range(self._spare))
        self._parked: set[int] = set()  # slots of what only waits
        self._links: dict[int, list[Link]] = {}  # slot -> what it holds
        self._chains: dict[int, Chain] = {}  # slot -> whose it is
        self._least_copy = _least_copy(engine)

    @property
    def slots(self) -> int:
        """Branches that may be in one call."""
        return self._spare

    @property
    def resident(self) -> int:
        """Branches that have a slot."""
        return len(self._chains)

    def holds(self, demands: Sequence[Demand]) -> bool:
        """Whether all are there with room for what they want: mostly, and quick to tell."""
        if self.used + sum(demand.count for demand in demands) > self.capacity:
            return False
        return all(self._whole(demand.chain) for demand in demands)

    def _whole(self, chain: Chain) -> bool:
        """Whether a chain is in its slot to its end: a slot that holds its last link holds all."""
        if chain.slot is None or not chain.links:
            return False
        link, used = chain.links[-1]
        return link.held.get(chain.slot, 0) >= used

    def choose(self, demands: Sequence[Demand]) -> list[int]:
        """Those that fit into one call, the first ones first; at least one."""
        needed: dict[Link, int] = {}
        total = 0
        chosen: list[int] = []
        for n, demand in enumerate(demands):
            grown = {link: used for link, used in demand.chain.links if used > needed.get(link, 0)}
            cells = demand.count + sum(u - needed.get(link, 0) for link, u in grown.items())
            room = 0 if demand.chain.slot is not None else HEADROOM
            full = total + cells + room > self.capacity or len(chosen) == self.slots
            if chosen and full:
                continue
            needed |= grown
            total += cells
            chosen.append(n)
        return chosen

    def make_room(self, demands: Sequence[Demand], live: Iterable[Chain]) -> None:
        """Let branches leave until a call fits, the youngest tree's first."""
        staying = {id(demand.chain) for demand in demands}
        newcomers = [demand.chain for demand in demands if demand.chain.slot is None]
        needed: dict[Link, int] = {}
        for demand in demands:
            for link, used in demand.chain.links:
                needed[link] = max(needed.get(link, 0), used)
        count = sum(demand.count for demand in demands)
        idle = [c for c in live if c.slot is not None and id(c) not in staying]
        idle.sort(key=lambda c: -c.age)
        self._inherit(idle, newcomers)
        for chain in [c for c in idle if c.slot is not None]:
            newcomers = [c for c in newcomers if c.slot is None]
            crowded = len(newcomers) > len(self._free)
            missing = sum(max(0, used - link.cells) for link, used in needed.items())
            if not crowded and self.used + missing + count <= self.capacity:
                return
            idle_links = self._links[chain.slot] if chain.slot is not None else []
            if crowded or any(link.cells > needed.get(link, 0) for link in idle_links):
                self.leave(chain, newcomers)

    def _inherit(self, idle: Iterable[Chain], newcomers: Iterable[Chain]) -> None:
        """Hand slots to branches that go on where an idle one stands: nothing has to be shared."""
        standing = {c.links[-1]: c for c in idle if c.links and c.slot not in self._parked}
        for heir in newcomers:
            for end in reversed(heir.links):
                parent = standing.pop(end, None)
                if parent is not None and parent.slot is not None:
                    if self._shared(parent, parent.slot) == parent.length:
                        heir.slot, parent.slot = parent.slot, None
                        self._chains[heir.slot] = heir
                    break

    def park(self, chain: Chain) -> None:
        """Give a branch that only waits a slot far from those that go on, if one is free."""
        if chain.slot is None and self._free:
            self._parked.add(self._free[-1])
            self.bring(chain, -1)

    def bring(self, chain: Chain, place: int = 0) -> int:
        """Give a branch a slot; how many of its tokens are there. The others must be read again.

        The slot is the lowest that is free, or the one at another `place` among them.
        """
        self.settle()
        if self._whole(chain):
            return chain.length
        if chain.slot is None:
            chain.slot = slot = self._free.pop(place)
            self._chains[slot], self._links[slot] = chain, []
            start = self._share(chain, slot)
        else:
            slot, start = chain.slot, self._shared(chain, chain.slot)
            if start < self._elsewhere(chain, slot):
                self._cut(slot, 0)
                self.settle()
                start = self._share(chain, slot)
        if start == chain.length:
            return start
        for link, used in chain.links:
            if link.start < start or used <= link.held.get(slot, 0):
                continue
            if link.saved is None or link.saved_count < used or link.start > start:
                break
            self._engine.restore(slot, self._spare, link.saved)
            if link.saved_count > used:
                self._engine.cut(slot, link.start + used)
            self._hold(link, slot, used)
            start = link.start + used
        return start

    def close_ranks(self, chains: Iterable[Chain]) -> None:
        """Move branches into the free slots below them; after `settle`."""
        for chain in sorted(chains, key=lambda chain: -(chain.slot or 0)):
            old = chain.slot
            if old is None or not self._free or self._free[0] > old:
                return
            chain.slot = slot = self._free.pop(0)
            self._engine.share(old, slot, chain.length)
            self._engine.cut(old, 0)
            for link in self._links[old]:
                link.held[slot] = link.held.pop(old)
            self._links[slot], self._chains[slot] = self._links.pop(old), self._chains.pop(old)
            insort(self._free, old)

    def settle(self) -> None:
        """Carry out the cuts; before every call."""
        for slot, length in self._cuts.items():
            self._engine.cut(slot, length)
        self._cuts.clear()

    def grown(self, chain: Chain, start: int) -> None:
        """A branch was evaluated from position `start` up to its whole length."""
        assert chain.slot is not None
        for link, used in reversed(chain.links):
            if link.start + used <= start:
                return
            self._hold(link, chain.slot, used)

    def trim(self, chain: Chain) -> None:
        """A branch was cut: so is its slot."""
        if chain.slot is not None:
            self._cut(chain.slot, chain.length)

    def leave(self, chain: Chain, heirs: Iterable[Chain] = ()) -> None:
        """Put a branch out of the cache; what nobody else holds is copied first."""
        slot = chain.slot
        assert slot is not None
        alone = [
            (link, used)
            for link, used in chain.links
            if used > max(link.saved_count, self._others(link, slot)) and slot in link.held
        ]
        if sum(used for _, used in alone) >= self._least_copy:
            self.settle()
            for link, _ in alone:
                link.saved_count = link.held[slot]
                end = link.start + link.saved_count
                link.saved = self._engine.save(slot, self._spare, link.start, end)
                self.copied_tokens += link.saved_count
        self.forget(chain, heirs)

    def forget(self, chain: Chain, heirs: Iterable[Chain]) -> None:
        """Free a branch's slot, or hand it to the heir that needs most of it, if any does."""
        slot = chain.slot
        if slot is None:
            return
        self._parked.discard(slot)
        chain.slot, best, most = None, None, 0
        for heir in heirs:
            if heir.slot is None and (shared := self._shared(heir, slot)) > most:
                best, most = heir, shared
        if best is not None and most > self._elsewhere(best, slot):
            best.slot, self._chains[slot] = slot, best
            self._cut(slot, most)
            return
        self._cut(slot, 0)
        del self._links[slot], self._chains[slot]
        insort(self._free, slot)

    def _others(self, link: Link, slot: int) -> int:
        """How much of a link the other slots hold."""
        return max((n for s, n in link.held.items() if s != slot), default=0)

    def _shared(self, chain: Chain, slot: int) -> int:
        """How many of the first tokens of a chain a slot holds."""
        end = 0
        for link, used in chain.links:
            if not (held := link.held.get(slot, 0)):
                break
            end = link.start + min(held, used)
            if held < used:
                break
        return end

    def _elsewhere(self, chain: Chain, slot: int) -> int:
        """How many of the first tokens of a chain another slot holds."""
        for link, used in reversed(chain.links):
            if held := self._others(link, slot):
                return link.start + min(held, used)
        return 0

    def _share(self, chain: Chain, slot: int) -> int:
        """Let a slot begin with what other slots hold of a chain; its length."""
        for link, used in reversed(chain.links):
            if link.held:
                source = max(link.held, key=lambda s: (link.held[s], -s))
                length = link.start + min(link.held[source], used)
                self._engine.share(source, slot, length)
                for part, count in chain.links:
                    if part.start < length:
                        self._hold(part, slot, min(count, length - part.start))
                return length
        return 0

    def _hold(self, link: Link, slot: int, count: int) -> None:
        before = link.cells
        if slot not in link.held:
            self._links[slot].append(link)
        link.held[slot] = count
        self.used += link.cells - before

    def _cut(self, slot: int, length: int) -> None:
        """Drop what a slot holds beyond a length."""
        kept = []
        for link in self._links[slot]:
            before = link.cells
            if link.start >= length:
                del link.held[slot]
            else:
                link.held[slot] = min(link.held[slot], length - link.start)
                kept.append(link)
            self.used += link.cells - before
        self._links[slot] = kept
        self._cuts[slot] = min(length, self._cuts.get(slot, length))


def _least_copy(engine: BranchEngine) -> float:
    """From how many tokens on a copy out and in takes less than reading them again."""
    if not engine.copies:
        return math.inf
    shape = engine.artifact.shape
    flops = CARD_FLOPS if engine.on_card else CPU_FLOPS
    anew = 2 * shape.linear_parameters / flops
    copied = 2 * shape.kv_bytes_per_token(engine.kv_value_bytes) / COPY_BYTES_PER_S
    return 2 * COPY_S / (anew - copied) if anew > copied else math.inf
