"""AWS: credentials, the CloudFormation engine, the bootstrap stack and image builds."""
