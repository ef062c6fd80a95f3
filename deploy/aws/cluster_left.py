"""What a cluster could leave in the account, found by listing each service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.aws.cluster_access import described
from deploy.aws.leftovers import log_groups
from deploy.aws.session import Aws, told
from deploy.aws.wanted import stack_name

# The network plugin marks its cards so; one that no machine holds any more keeps a subnet alive.
CARD_TAG = "cluster.k8s.amazonaws.com/name"


def cluster_left(deployment: str, aws: Aws) -> Iterator[str]:
    """The cluster, its log, and network cards of its pods."""
    name = stack_name(deployment)
    if described(name, aws) is not None:
        yield f"cluster {name}"
    yield from log_groups(f"/aws/eks/{name}/cluster", aws)
    yield from (f"network card {card['NetworkInterfaceId']}" for card in cards(name, aws))


def cards(cluster: str, aws: Aws) -> list[dict[str, Any]]:
    """The network cards that the plugin made for the cluster's pods."""
    wanted = [{"Name": f"tag:{CARD_TAG}", "Values": [cluster]}]
    pages = aws.client("ec2").get_paginator("describe_network_interfaces").paginate(Filters=wanted)
    return [card for page in pages for card in page["NetworkInterfaces"]]


def without_loose_cards(cluster: str, aws: Aws) -> list[str]:
    """Delete cards that a machine left when it ended too soon: they hold their subnet, and so the
    whole stack, up. What was removed."""
    removed = []
    with told(f"remove network cards that {cluster} left"):
        for card in cards(cluster, aws):
            if card["Status"] == "available":
                aws.client("ec2").delete_network_interface(
                    NetworkInterfaceId=card["NetworkInterfaceId"]
                )
                removed.append(f"network card {card['NetworkInterfaceId']}")
    return removed
