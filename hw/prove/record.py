"""Proofs in a build's manifest, with what they are of.

The manifest's ``proofs`` has ``verilog_sha256``, which is the Verilog's that they were made of, and
``results``: by kind what was proved, and what is undecided; or why there is nothing to prove.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ..manifest import Build, rewrite
from .results import Proof

__all__ = ["Outcome", "earlier", "record", "stale"]

#: What became of a kind of proof: its proofs, why there are none, or None where it is refuted.
Outcome = list[Proof] | str | None


def stale(build: Build, verilog: str) -> bool:
    """Return whether the manifest has proofs, but of other Verilog."""
    proofs = build.manifest.get("proofs")
    return isinstance(proofs, dict) and proofs.get("verilog_sha256") != _digest(verilog)


def earlier(build: Build, verilog: str) -> dict[str, Any]:
    """Return what the manifest has of proofs of this Verilog, by kind."""
    proofs = build.manifest.get("proofs")
    if not isinstance(proofs, dict) or stale(build, verilog):
        return {}
    results = proofs.get("results")
    return dict(results) if isinstance(results, dict) else {}


def record(build: Build, verilog: str, outcomes: Mapping[str, Outcome]) -> None:
    """Write proofs into the manifest, in one piece; those of kinds not in `outcomes` stay.

    Raises
    ------
    UsageError
        If the manifest cannot be written.
    """
    results = earlier(build, verilog)
    for kind, outcome in outcomes.items():
        results.pop(kind, None)
        if outcome is not None:
            results[kind] = to_json(outcome)
    rewrite(build, proofs={"verilog_sha256": _digest(verilog), "results": results})


def to_json(outcome: Outcome) -> Any:
    """Return an outcome as JSON-ready data; of a refuted kind None."""
    if outcome is None:
        return None
    if isinstance(outcome, str):
        return {"inapplicable": outcome}
    found = {"proved": [proof.to_json() for proof in outcome if proof.decided]}
    undecided = [proof.to_json() for proof in outcome if not proof.decided]
    return found | {"undecided": undecided} if undecided else found


def _digest(verilog: str) -> str:
    return hashlib.sha256(verilog.encode()).hexdigest()
