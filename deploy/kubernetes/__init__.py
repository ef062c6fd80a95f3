"""The bundle on any Kubernetes: its objects as data, and the cluster that they are applied to."""
