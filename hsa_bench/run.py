"""The command: parse, plan, run, report."""
