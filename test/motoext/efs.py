"""Amazon EFS: PutBackupPolicy and DeleteFileSystemPolicy, which moto lacks."""

import json

from moto.efs.responses import EFSResponse


def patch():
    EFSResponse.put_backup_policy = put_backup_policy
    EFSResponse.delete_file_system_policy = delete_file_system_policy


def put_backup_policy(self):
    """moto shows a policy where the file system was made with Backup; only the two states that last are kept."""
    system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
    status = self._get_param("BackupPolicy")["Status"]
    system._backup = True
    type(system).backup_policy = property(backup_policy)
    system.backup_status = status
    return json.dumps({"BackupPolicy": {"Status": status}}), {"Content-Type": "application/json"}


def backup_policy(system):
    if getattr(system, "backup_status", None):
        return {"Status": system.backup_status}
    return {"Status": "ENABLED"} if system._backup else None


def delete_file_system_policy(self):
    self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")].file_system_policy = None
    return "", {}
