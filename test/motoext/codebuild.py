"""AWS CodeBuild: UpdateProject, which moto lacks. What an update does not name stays.

"""

import json
import time

from moto.codebuild.exceptions import ResourceNotFoundException
from moto.codebuild.responses import CodeBuildResponse

MEMBERS = (
    "description", "source", "sourceVersion", "artifacts", "cache", "environment", "serviceRole", "timeoutInMinutes",
    "queuedTimeoutInMinutes", "encryptionKey", "tags", "vpcConfig", "logsConfig",
)


def patch():
    CodeBuildResponse.update_project = update_project


def update_project(self):
    project = self.codebuild_backend.codebuild_projects.get(self._get_param("name"))
    if project is None:
        raise ResourceNotFoundException(f"Project cannot be found: {self._get_param('name')}")
    for member in MEMBERS:
        value = self._get_param(member)
        if value is not None:
            project.project_metadata[member] = value
    project.project_metadata["lastModified"] = time.time()
    return json.dumps({"project": project.project_metadata})
