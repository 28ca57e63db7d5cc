"""The story of one report: `relay demo`, on four real daemons and two embedded brokers."""
