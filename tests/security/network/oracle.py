"""IBM's network-config-analyzer in an environment of its own: `python oracle.py FOLDER OUT`. No module of ours is here.

For each folder in FOLDER it writes what can be reached: source, destination, protocol, first and last port. A pod is
`namespace/name`, a range of addresses `first-last`.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
Row = tuple[str, str, str, int, int]


def ends(peers: Iterable[Any]) -> list[str]:
    """Names of pods, ranges of addresses."""
    told: list[str] = []
    for peer in peers:
        if type(peer).__name__ == "IpBlock":
            told += [f"{part.start}-{part.end}" for part in peer]
        else:
            told.append(f"{peer.namespace.name}/{peer.name}")
    return told


def reached(folder: Path) -> list[Row]:
    """All rows of one cluster."""
    from nca.CoreDS.Peer import BasePeerSet
    from nca.NetworkConfig.ResourcesHandler import ResourcesHandler

    BasePeerSet.reset()
    config = ResourcesHandler().get_network_config(None, None, None, [str(folder)])
    conns = config.filter_conns_by_peer_types(config.allowed_connections().all_allowed_conns)
    rows: set[Row] = set()
    for each in conns:
        cube = conns.get_connectivity_cube(each)
        rows |= {
            (source, destination, protocol, span.start, span.end)
            for source in ends(cube["src_peers"])
            for destination in ends(cube["dst_peers"])
            for protocol, number in PROTOCOLS.items()
            if number in cube["protocols"]
            for span in cube["dst_ports"].port_set
        }
    return sorted(rows)


def main() -> None:
    """Each folder."""
    told = {folder.name: reached(folder) for folder in sorted(Path(sys.argv[1]).iterdir())}
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
