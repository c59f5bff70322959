"""Amazon GuardDuty: the tags of a detector, which moto keeps and does not answer for."""

import json
from urllib.parse import unquote

from moto.guardduty import urls
from moto.guardduty.responses import GuardDutyResponse


def patch():
    urls.url_paths["{0}/tags/(?P<resource_arn>.+)$"] = GuardDutyResponse.dispatch
    for handler in (tag_resource, untag_resource, list_tags_for_resource):
        setattr(GuardDutyResponse, handler.__name__, handler)


def tags_of(self):
    detector = unquote(self.path).rsplit("detector/", 1)[-1].split("/")[0]
    return self.guardduty_backend.detectors[detector].tags


def tag_resource(self):
    tags_of(self).update(self._get_param("tags"))
    return 200, {}, "{}"


def untag_resource(self):
    for key in self.querystring.get("tagKeys", []):
        tags_of(self).pop(key, None)
    return 200, {}, "{}"


def list_tags_for_resource(self):
    return 200, {}, json.dumps({"tags": tags_of(self)})
