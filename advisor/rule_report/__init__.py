"""What is wrong with a set of rules: rules that never fire, overlap, or contradict each other."""

from advisor.rule_report.findings import Finding, RuleReport, report_on

__all__ = ["Finding", "RuleReport", "report_on"]
