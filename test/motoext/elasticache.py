"""Amazon ElastiCache: ModifyReplicationGroup and ModifyCacheCluster, which moto lacks."""

from moto.core.responses import ActionResult
from moto.elasticache.responses import ElastiCacheResponse

SETTINGS = {
    "snapshot_retention_limit": "SnapshotRetentionLimit",
    "snapshot_window": "SnapshotWindow",
    "auto_minor_version_upgrade": "AutoMinorVersionUpgrade",
    "transit_encryption_mode": "TransitEncryptionMode",
    "preferred_maintenance_window": "PreferredMaintenanceWindow",
}


def patch():
    ElastiCacheResponse.modify_replication_group = modify_replication_group
    ElastiCacheResponse.modify_cache_cluster = modify_cache_cluster


def modify(self, thing):
    for attribute, member in SETTINGS.items():
        value = self._get_param(member)
        if value is None:
            continue
        if member == "SnapshotRetentionLimit":
            value = int(value)
        if member == "AutoMinorVersionUpgrade":
            value = str(value).lower() == "true"
        setattr(thing, attribute, value)
    failover = self._get_param("AutomaticFailoverEnabled")
    if failover is not None:
        thing.automatic_failover = "enabled" if str(failover).lower() == "true" else "disabled"
    return thing


def modify_replication_group(self):
    group = self.elasticache_backend.describe_replication_groups(self._get_param("ReplicationGroupId"))[0]
    return ActionResult({"ReplicationGroup": modify(self, group)})


def modify_cache_cluster(self):
    cluster = self.elasticache_backend.cache_clusters[self._get_param("CacheClusterId")]
    return ActionResult({"CacheCluster": modify(self, cluster)})
