"""Images built by a container engine of this machine: Docker, Podman or Buildah."""
