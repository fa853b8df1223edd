"""Bugs that a lease could have which follows what its holder has started; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_A_HOLDER_LEAVES = (
    bug(
        "a tree ends with its holder",
        "admission.py",
        "        if lease.claim.bound is not Bound.TREE:\n",
        "        if lease.claim.bound is not Bound.TREE or not lease.is_left:\n",
    ),
    bug(
        "a tree is looked for but once",
        "admission.py",
        "        self.ledger.effects.append(ev.FindTree(self.ledger.follow(lease, left)))\n",
        "        new = self.ledger.follow(lease, left)\n"
        "        self.ledger.effects += [] if lease.is_left else [ev.FindTree(new)]\n",
    ),
    bug(
        "a tree ends with the first process of it",
        "admission.py",
        "        if not event.left:\n",
        "        if not event.left or (lease.tree and lease.tree[0] not in event.left):\n",
    ),
    bug(
        "who has exited is still followed",
        "admission.py",
        "        left = tuple(one for one in lease.tree if one != holder)\n",
        "        left = lease.tree\n",
    ),
    bug(
        "those whom a lease follows are not watched",
        "ledger.py",
        "        self.watch(*left)\n",
        "",
    ),
    bug(
        "a lease still depends on those whom no look finds any more",
        "admission.py",
        "        self.ledger.follow(lease, event.left)\n",
        "        self.ledger.follow(lease, tuple({*lease.tree, *event.left}))\n",
    ),
    bug(
        "whom a lease follows is not written down",
        "admission.py",
        "        self.ledger.persist(ev.Followed(lease.id, event.left))\n",
        "",
    ),
    bug(
        "what a holder left is buried with it over a restart",
        "restart.py",
        "    has_lost = lease.is_left or lease.claim.holder not in living\n",
        "    has_lost = lease.is_left\n",
    ),
    bug(
        "nobody looks for a tree after a restart",
        "restart.py",
        "    if lease.is_left:\n        ledger.effects.append(ev.FindTree(lease))\n",
        "",
    ),
    bug(
        "who died while the daemon was away is followed for ever",
        "restart.py",
        "        left = tuple(one for one in lease.tree if one in living)\n",
        "        left = lease.tree\n",
    ),
    bug(
        "a child waits behind the lease that its parent left it",
        "nesting.py",
        "for lease in meant for holder in lease.holders}",
        "for lease in meant for holder in [lease.claim.holder]}",
    ),
    bug(
        "a child revokes what it gives back",
        "holding.py",
        "any(one in event.ancestors for one in lease.holders)",
        "lease.claim.holder in event.ancestors",
    ),
    bug(
        "units are regained for a process that is gone",
        "holding.py",
        "        claim = replace(lease.claim, request=None, holder=holder)\n",
        "        claim = replace(lease.claim, request=None)\n",
    ),
)
