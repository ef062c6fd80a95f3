"""An AWS account for the tests: MiniStack in a process of its own, and what it lacks.

MiniStack runs CloudFormation, S3, ECR, IAM, STS, CloudWatch and logs for real: signatures and IAM
policies are checked, failed stacks roll back. Added here, in the emulator's process:

* resource types it does not know, with each property checked against the CloudFormation registry
  schema that cfn-lint carries (`resources.py`, `schema.py`);
* the SageMaker, Application Auto Scaling and Service Quotas calls that the product makes, checked
  against botocore's own service models (`services.py`);
* builds: the project's own build specification runs in a shell, with stand-ins for the two
  programs that need a machine of AWS, docker and aws (`builds.py`, `shims.py`);
* containers: an "image" is the unpacked bundle, and an endpoint is the bundle's own server process
  (`containers.py`), so that a prediction is the model's.

`client.py` is the tests' side: it starts and stops the process and asks it for its state.
What this cannot show is told in docs/deploying-aws.md.
"""
