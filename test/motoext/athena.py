"""Amazon Athena: UpdateWorkGroup, which moto lacks. What ConfigurationUpdates does not name stays."""

from moto.athena.responses import AthenaResponse


def patch():
    AthenaResponse.update_work_group = update_work_group


def update_work_group(self):
    group = self.athena_backend.work_groups.get(self._get_param("WorkGroup"))
    if group is None:
        return self.error("WorkGroup is not found.", 400)
    updates = dict(self._get_param("ConfigurationUpdates") or {})
    result = updates.pop("ResultConfigurationUpdates", None)
    if result is not None:
        is_now = group.configuration.get("ResultConfiguration", {})
        removed = {name[len("Remove") :] for name, yes in result.items() if name.startswith("Remove") and yes}
        named = {name: value for name, value in result.items() if not name.startswith("Remove")}
        group.configuration["ResultConfiguration"] = {k: v for k, v in (is_now | named).items() if k not in removed}
    if updates.pop("RemoveBytesScannedCutoffPerQuery", False):
        group.configuration.pop("BytesScannedCutoffPerQuery", None)
    group.configuration.update(updates)
    if self._get_param("Description") is not None:
        group.description = self._get_param("Description")
    if self._get_param("State"):
        group.state = self._get_param("State")
    return "{}"
