"""A network namespace as /proc and /sys show it: listeners, interfaces, routes, counters."""
