"""EKS as CloudFormation makes it, where MiniStack leaves something out."""

from __future__ import annotations

from typing import Any

from ministack.services import autoscaling, ec2, eks

CLUSTER = "AWS::EKS::Cluster"
NODES = "AWS::EKS::Nodegroup"
ADDON = "AWS::EKS::Addon"
NEEDED = {"vpc-cni", "kube-proxy", "eks-pod-identity-agent"}


class ClusterWorld:
    """Clusters with an API server each, and node groups that are checked as EKS checks them."""

    apis: Any = None

    def open_clusters(self, apis: Any) -> None:
        self.apis = apis
        autoscaling._ACTION_MAP["AttachLoadBalancerTargetGroups"] = self._attach

    def cluster_made(self, name: str, properties: dict[str, Any]) -> None:
        found = eks._clusters[name]
        subnet = ec2._subnets.get(properties["ResourcesVpcConfig"]["SubnetIds"][0], {})
        found["resourcesVpcConfig"]["vpcId"] = subnet.get("VpcId", "vpc-00000000")
        self.apis.opened(name)

    def cluster_gone(self, name: str) -> None:
        if [g for g in eks._nodegroups.values() if g["clusterName"] == name]:
            raise ValueError(f"Cluster has nodegroups attached: {name}")
        self.apis.closed(name)

    def nodes_checks(self, properties: dict[str, Any]) -> None:
        cluster = properties["ClusterName"]
        there = {
            r.properties["AddonName"]
            for r in self.all(ADDON)  # type: ignore[attr-defined]
            if r.properties["ClusterName"] == cluster
        }
        if not there >= NEEDED:
            missing = ", ".join(sorted(NEEDED - there))
            raise ValueError(f"NodeCreationFailure: nodes never get ready without {missing}")
        template = ec2._launch_templates[properties["LaunchTemplate"]["Id"]]
        data = template["Versions"][-1]["LaunchTemplateData"]
        for unwanted in ("IamInstanceProfile", "InstanceType", "ImageId"):
            if unwanted in data:
                raise ValueError(f"InvalidParameterException: launch template with {unwanted}")

    def _attach(self, given: dict[str, Any]) -> Any:
        machines = autoscaling._p(given, "AutoScalingGroupName")
        for group in eks._nodegroups.values():
            names = [g["name"] for g in group["resources"]["autoScalingGroups"]]
            if machines in names:
                for number in range(1, 11):
                    arn = autoscaling._p(given, f"TargetGroupARNs.member.{number}")
                    if arn:
                        self.apis.pods[group["clusterName"]].attach(machines, arn)
                return autoscaling._xml(
                    200, "AttachLoadBalancerTargetGroupsResponse",
                    "<AttachLoadBalancerTargetGroupsResult/>",
                )  # fmt: skip
        return autoscaling._error("ValidationError", f"AutoScalingGroup {machines} not found")
