"""What of a model runs on the hardware's arithmetic, and what does not."""

from dataclasses import dataclass, field

__all__ = ["Report"]


@dataclass
class Report:
    """Filled while the model runs: a site is known when it has run once.

    Attributes
    ----------
    replaced : dict of str to str
        Site to the unit that computes it.
    left : dict of str to str
        Site to the reason why it runs as before.
    calls : dict of str to int
        Site to how often it ran.
    planned : tuple of str
        Sites of the plan.
    """

    planned: tuple[str, ...] = ()
    replaced: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Sites of the plan that have not run yet."""
        return tuple(site for site in self.planned if site not in self.replaced)

    def count(self, site: str) -> None:
        """Count a run of a site."""
        self.calls[site] = self.calls.get(site, 0) + 1

    def __str__(self) -> str:
        rows = [(site, f"on unit {unit}") for site, unit in self.replaced.items()]
        rows += [(site, f"left: {why}") for site, why in self.left.items()]
        rows += [(site, "in the plan, not run yet") for site in self.unseen]
        width = max((len(site) for site, _ in rows), default=0)
        lines = [
            f"{site:<{width}}  {what}"
            + (f", {calls} call{'s' * (calls > 1)}" if (calls := self.calls.get(site)) else "")
            for site, what in rows
        ]
        total = f"{len(self.replaced)} replaced, {len(self.left)} left"
        return "\n".join([*lines, total + f", {len(self.unseen)} not run yet" * bool(self.unseen)])
