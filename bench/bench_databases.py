"""How long each database takes on five nodes: to install, to go from what a run left to ready, and to be removed.

`bench_databases.py [rabbitmq elasticsearch:modern ...] [--json]`, a name or name:variant each, on a lab of five nodes
that is up and otherwise idle. Packages and archives are in the caches already: each database is installed once before
it is timed. Beside each figure: how many times a bare ping of all nodes it takes, the least that any play can. Goals
in seconds: 90 to install and 60 to wipe and start for what Debian packages, 60 and 45 for what comes from Maven.
"""

import argparse
import json
import sys

from plays import PING, ROOT, play

PLAYBOOKS = ROOT / "playbooks"
MOST_S = {"Debian": (90, 60), "Maven": (60, 45)}
FROM_MAVEN = {"cassandra", "elasticsearch", "kafka", "voltdb"}
DEFAULT = sorted(folder.parent.name for folder in ROOT.glob("roles/*/variants"))


def timed(database: str) -> dict[str, float]:
    """Installs a database from its cache, wipes and starts it, and removes it; seconds of each."""
    name, _, variant = database.partition(":")
    asked = ["-e", f"db={name}", *(["-e", f"variant={variant}"] if variant else [])]
    play(PLAYBOOKS / "db.yml", *asked, "-e", "verb=install")
    play(PLAYBOOKS / "teardown.yml", *asked)
    install_s = play(PLAYBOOKS / "db.yml", *asked, "-e", "verb=install")
    play(PLAYBOOKS / "install.yml", *asked)
    return {
        "install": install_s,
        "wipe and start": play(PLAYBOOKS / "install.yml", *asked),
        "teardown": play(PLAYBOOKS / "teardown.yml", *asked),
    }


def main() -> int:
    """Prints a line a database; returns 0 where all goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="*", default=DEFAULT, metavar="DATABASE[:VARIANT]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    ping_s = min(play(PING) for _ in range(3))
    found, met = {}, True
    for database in options.databases:
        took = found[database] = timed(database)
        most_s = MOST_S["Maven" if database.partition(":")[0] in FROM_MAVEN else "Debian"]
        met = met and took["install"] <= most_s[0] and took["wipe and start"] <= most_s[1]
        if not options.json:
            figures = (f"{what} {s:5.1f} s = {s / ping_s:4.0f} pings" for what, s in took.items())
            print(f"{database:24}{'    '.join(figures)}", flush=True)
    if options.json:
        print(json.dumps({"ping": ping_s, **found}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
