"""The command `fleet`: the nodes of a fleet, its pools, and what a node is told."""

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.durations import said
from admission_client.granted import mapping, number, rows, text, whole
from admission_client.options import JSON, SOCKET, Options, WrongUsage, parse, take_no_words
from admission_client.output import as_json, print_reply, printable, table

ORDERS = {"cordon": "cordon", "uncordon": "open", "drain": "drain"}
DONE = {
    "cordon": "takes no work from other nodes",
    "uncordon": "takes work again",
    "drain": "grants nothing any more, and takes no work from other nodes",
}
ABOUT = (
    "The nodes of the fleet that this daemon is in, what each has room for, and the pools that\n"
    "they share.\n\n"
    "  admission fleet cordon NODE    it takes no work from other nodes\n"
    "  admission fleet drain NODE     nor grants anything of its own; what runs there goes on\n"
    "  admission fleet uncordon NODE  an end to both"
)


def fleet(words: list[str]) -> int:
    """Shows the fleet; or gives a node an order."""
    if words[:1] and words[0] in ORDERS:
        return _order(words[0], words[1:])
    options = parse(words, (JSON, SOCKET), "fleet [options] [cordon|drain|uncordon] [NODE]", ABOUT)
    take_no_words("fleet", options)
    with Client(options.socket) as client:
        found = client.ask("fleet")
    print(as_json(found, indent=2) if options.json else told(found))
    return 0


def _order(word: str, words: list[str]) -> int:
    options = parse(words, (JSON, SOCKET), f"fleet {word} [options] NODE", ABOUT)
    node = _node(word, options)
    with Client(options.socket) as client:
        reply = client.ask("fleet", {"node": node, "set": ORDERS[word]})
    print_reply(reply, f"{printable(node)} {DONE[word]}", options)
    return 0


def _node(word: str, options: Options) -> str:
    if len(options.words) != 1:
        raise WrongUsage(f"fleet {word}: name one node: admission fleet {word} NODE")
    return options.words[0]


def told(found: Frame) -> str:
    """The fleet as a person reads it."""
    lines = []
    if found.get("problem"):
        policy = "nothing new is granted in its pools"
        if found.get("when_away") == "share":
            policy = "in its pools only what is given back here is granted again"
        lines.append(f"the fleet is away ({printable(text(found, 'problem'))}): {policy}")
    nodes = rows(found, "nodes")
    if nodes:
        head = ("NODE", "STATE", "LEVEL", "AGENTS", "WAIT", "COST", "LABELS", "HEARD OF")
        lines.append(table(head, [_node_row(one) for one in nodes]))
    if left_out := whole(found, "left_out"):
        lines.append(f"and {left_out} more nodes")
    if pools := pools_table(found):
        lines.append(pools)
    return "\n".join(lines) or "nobody is in the fleet yet"


def pools_table(found: Frame) -> str:
    """The fleet pools, and on which nodes their units are out; nothing where there are none."""
    head = ("POOL", "OUT", "WAIT", "LOST HERE", "WHERE")
    pools = rows(found, "pools")
    return table(head, [_pool_row(one) for one in pools]) if pools else ""


def _node_row(one: Frame) -> tuple[object, ...]:
    labels = one.get("labels")
    return (
        printable(text(one, "node")) + (" (here)" if one.get("self") else ""),
        printable(text(one, "state")),
        whole(one, "level"),
        f"{whole(one, 'out')} of {whole(one, 'capacity')}",
        whole(one, "waiting"),
        f"{number(one, 'cost'):g}",
        printable(", ".join(map(str, labels)) if isinstance(labels, list) else "") or "-",
        f"{said(number(one, 'seen_s'))} ago",
    )


def _pool_row(one: Frame) -> tuple[object, ...]:
    lost = one.get("lost")
    return (
        printable(text(one, "pool")),
        f"{whole(one, 'held')} of {whole(one, 'capacity')}",
        whole(one, "waiting"),
        (", ".join(map(str, lost)) if isinstance(lost, list) else "") or "-",
        ", ".join(_where(one)) or "-",
    )


def _where(pool: Frame) -> list[str]:
    """On each node how many units are out, and how many are waited for."""
    found = []
    for node, row in mapping(pool, "nodes").items():
        counts = row if isinstance(row, dict) else {}
        held, waiting = whole(counts, "held"), whole(counts, "waiting")
        waits = f" and {waiting} waited for" if waiting else ""
        found.append(f"{printable(node)} {held}{waits}")
    return found
