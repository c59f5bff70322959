-- The statements of the store for SQLite. Each "-- name:" line starts one; the
-- names are the fields of store.Queries. Statements marked "row" run once per
-- row of a batch, prepared; where they take their values in order, they name none: the
-- driver looks up the name of each value of each row.

-- name: InboxAppend row
INSERT INTO inbox (source, trusted, received_at, doc) VALUES (?, ?, ?, ?);

-- name: InboxPeek
SELECT seq, source, trusted, received_at, doc FROM inbox WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: InboxDepth
SELECT COUNT(*) FROM inbox;

-- name: InboxDelete
DELETE FROM inbox WHERE seq IN (SELECT value FROM json_each($1));

-- name: FindingRids
WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < $1)
SELECT (SELECT COALESCE(MAX(rid), 0) FROM finding) + n FROM r;

-- name: IdentityAppend row
INSERT INTO finding_identity (key, account, rid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: FindingCurrent
SELECT i.key, f.rid, f.rev, f.resources, f.account, f.region, f.control, f.severity, f.workflow, f.record_state, f.evidence
FROM json_each($1) j
CROSS JOIN finding_identity i ON i.key = j.value
CROSS JOIN finding f ON f.rid = i.rid;

-- name: FindingInsert row
INSERT INTO finding (rid, account, product_arn, id, rev, region, control, generator, product, severity,
    severity_normalized, workflow, record_state, compliance, resource_id, resource_type, title, source,
    trusted, touched, created_at, updated_at, stored_at, resources, priority, due_at, overdue, threat, evidence, exception, exempt_at, types)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: FindingUpdate row
UPDATE finding SET rev = $5, region = $6, control = $7, generator = $8, product = $9, severity = $10,
    severity_normalized = $11, workflow = $12, record_state = $13, compliance = $14, resource_id = $15,
    resource_type = $16, title = $17, source = $18, trusted = $19, touched = $20, created_at = $21,
    updated_at = $22, stored_at = $23, resources = $24, priority = $25, due_at = $26, overdue = $27, threat = $28, evidence = $29,
    exception = $30, exempt_at = $31, types = $32
WHERE rid = $1 AND account = $2 AND rev = $5 - 1;

-- name: DocPut row
INSERT INTO finding_doc (rid, docs) VALUES ($2, $3)
ON CONFLICT (rid) DO UPDATE SET docs = excluded.docs;

-- name: TextPut row
INSERT INTO finding_text (rid, text) VALUES (?, ?)
ON CONFLICT (rid) DO UPDATE SET text = excluded.text WHERE finding_text.text <> excluded.text;

-- name: TextDelete row
DELETE FROM finding_text WHERE rid = ?;

-- name: ResourceAppend row
INSERT INTO finding_further (resource_id, rid) VALUES ($3, $2) ON CONFLICT DO NOTHING;

-- name: ResourceDelete row
DELETE FROM finding_further WHERE rid = ?;

-- name: UnsearchedRead
SELECT rid FROM finding_unsearched;

-- name: UnsearchedSet
UPDATE finding_unsearched SET rid = $2 WHERE rid = $1;

-- name: UnsearchedPage
SELECT f.rid, f.account, d.docs
FROM finding f CROSS JOIN finding_doc d ON d.rid = f.rid
WHERE f.rid <= $1 ORDER BY f.rid DESC LIMIT $2;

-- name: ResourceCount row
UPDATE finding SET resources = $3, types = $4 WHERE rid = $2 AND account = $1;

-- name: EventAppend row
INSERT INTO finding_event (rid, at, doc) VALUES (?, ?, ?);

-- name: CountAdd row
INSERT INTO finding_count (account, region, control, severity, workflow, record_state, n)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, region, control, severity, workflow, record_state) DO UPDATE SET n = finding_count.n + excluded.n;

-- name: CountAddKind row
INSERT INTO finding_count_kind (region, control, severity, workflow, record_state, n)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (region, control, severity, workflow, record_state) DO UPDATE SET n = finding_count_kind.n + excluded.n;

-- name: CountAddAccount row
INSERT INTO finding_count_account (account, severity, workflow, record_state, n)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account, severity, workflow, record_state) DO UPDATE SET n = finding_count_account.n + excluded.n;

-- name: CountAddControl row
INSERT INTO finding_count_control (control, standards, state, n) VALUES (?, ?, ?, ?)
ON CONFLICT (control, standards, state) DO UPDATE SET n = finding_count_control.n + excluded.n;

-- name: CountAddControlAccount row
INSERT INTO finding_count_control_account (account, control, standards, state, n) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account, control, standards, state) DO UPDATE SET n = finding_count_control_account.n + excluded.n;

-- name: FindingRead
SELECT f.rid, f.account, f.product_arn, f.id, f.rev, f.region, f.control, f.generator, f.product, f.severity,
    f.severity_normalized, f.workflow, f.record_state, f.compliance, f.resource_id, f.resource_type, f.title,
    f.source, f.trusted, f.touched, f.created_at, f.updated_at, f.stored_at, f.priority, f.due_at, f.overdue, f.threat, f.exception, f.exempt_at, d.docs
FROM json_each($1) j
CROSS JOIN finding_identity i ON i.key = j.value
CROSS JOIN finding f ON f.rid = i.rid
CROSS JOIN finding_doc d ON d.rid = f.rid;

-- name: FindingRank row
UPDATE finding SET priority = $4, due_at = $5, overdue = $6 WHERE rid = $1 AND account = $2 AND rev = $3;

-- name: FindingDue
SELECT product_arn, id FROM finding INDEXED BY finding_due WHERE overdue = 0 AND due_at > 0 AND due_at <= $1 ORDER BY due_at, rid LIMIT $2;

-- name: FindingThreats
SELECT DISTINCT f.resource_id FROM json_each($1) j CROSS JOIN finding f INDEXED BY finding_threat ON f.resource_id = j.value AND f.threat = 1;

-- name: ResourceTotals
SELECT f.resource_id, f.severity, COUNT(*), SUM(f.overdue) FROM finding f;

-- name: FindingPage
SELECT f.rid, f.account, f.product_arn, f.id, f.rev, f.region, f.control, f.generator, f.product, f.severity,
    f.severity_normalized, f.workflow, f.record_state, f.compliance, f.resource_id, f.resource_type, f.title,
    f.source, f.trusted, f.touched, f.created_at, f.updated_at, f.stored_at, f.priority, f.due_at, f.overdue, f.threat, f.exception, f.exempt_at
FROM finding f;

-- name: DocsRead
SELECT d.rid, d.docs
FROM json_each($1) j
CROSS JOIN finding_doc d ON d.rid = json_extract(j.value, '$[1]');

-- name: EventPage
SELECT e.seq, e.at, e.doc
FROM finding_identity i
CROSS JOIN finding_event e ON e.rid = i.rid
WHERE i.key = $1 AND e.seq < $2 AND e.at >= $4 AND e.at <= $5
ORDER BY e.seq DESC LIMIT $3;

-- name: CountPage
SELECT SUM(f.n) FROM finding_count f;

-- name: CountPageKind
SELECT SUM(f.n) FROM finding_count_kind f;

-- name: CountPageAccount
SELECT SUM(f.n) FROM finding_count_account f;

-- name: CountControl
SELECT '', f.control, f.standards, f.state, f.n FROM finding_count_control f;

-- name: CountControlAccount
SELECT f.account, f.control, f.standards, f.state, f.n FROM finding_count_control_account f;

-- name: CountControlAccounts
SELECT '', f.control, f.standards, f.state, SUM(f.n) FROM finding_count_control_account f;

-- name: DayAdd row
INSERT INTO finding_day (account, day, control, severity, active, fresh, resolved, suppressed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, account, control, severity) DO UPDATE SET
    active = finding_day.active + excluded.active,
    fresh = finding_day.fresh + excluded.fresh,
    resolved = finding_day.resolved + excluded.resolved,
    suppressed = finding_day.suppressed + excluded.suppressed;

-- name: DayAddKind row
INSERT INTO finding_day_kind (day, control, severity, active, fresh, resolved, suppressed)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, control, severity) DO UPDATE SET
    active = finding_day_kind.active + excluded.active,
    fresh = finding_day_kind.fresh + excluded.fresh,
    resolved = finding_day_kind.resolved + excluded.resolved,
    suppressed = finding_day_kind.suppressed + excluded.suppressed;

-- name: DayAddAccount row
INSERT INTO finding_day_account (day, account, severity, active, fresh, resolved, suppressed)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, account, severity) DO UPDATE SET
    active = finding_day_account.active + excluded.active,
    fresh = finding_day_account.fresh + excluded.fresh,
    resolved = finding_day_account.resolved + excluded.resolved,
    suppressed = finding_day_account.suppressed + excluded.suppressed;

-- name: DayPage
SELECT f.day, SUM(f.active), SUM(f.fresh), SUM(f.resolved), SUM(f.suppressed) FROM finding_day f;

-- name: DayPageKind
SELECT f.day, SUM(f.active), SUM(f.fresh), SUM(f.resolved), SUM(f.suppressed) FROM finding_day_kind f;

-- name: DayPageAccount
SELECT f.day, SUM(f.active), SUM(f.fresh), SUM(f.resolved), SUM(f.suppressed) FROM finding_day_account f;

-- name: DaySince
SELECT COALESCE(MIN(day), $1) FROM finding_day_kind;

-- name: DayPrune
DELETE FROM finding_day WHERE (account, day, control, severity) IN (SELECT account, day, control, severity FROM finding_day WHERE day < $1 ORDER BY day LIMIT $2);

-- name: DayPruneKind
DELETE FROM finding_day_kind WHERE (day, control, severity) IN (SELECT day, control, severity FROM finding_day_kind WHERE day < $1 ORDER BY day LIMIT $2);

-- name: DayPruneAccount
DELETE FROM finding_day_account WHERE (day, account, severity) IN (SELECT day, account, severity FROM finding_day_account WHERE day < $1 ORDER BY day LIMIT $2);

-- name: FindingTotal
SELECT COUNT(*) FROM finding f;

-- name: HubTotalAdd
INSERT INTO hub_object_total (kind, region, n) VALUES ($1, $2, 1)
ON CONFLICT (kind, region) DO UPDATE SET n = hub_object_total.n + 1 WHERE hub_object_total.n < $3;

-- name: HubTotalTake
UPDATE hub_object_total SET n = n - 1 WHERE kind = $2 AND region = (SELECT region FROM hub_object WHERE arn = $1 AND kind = $2);

-- name: HubInsert
INSERT INTO hub_object (arn, kind, region, created_at, rev, doc) VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING;

-- name: HubUpdate
UPDATE hub_object SET rev = rev + 1, doc = $4 WHERE arn = $1 AND kind = $2 AND rev = $3;

-- name: HubDelete
DELETE FROM hub_object WHERE arn = $1 AND kind = $2;

-- name: HubRead
SELECT o.arn, o.region, o.created_at, o.rev, o.doc FROM json_each($2) j JOIN hub_object o ON o.arn = j.value WHERE o.kind = $1;

-- name: HubPage
SELECT o.arn, o.region, o.created_at, o.rev, o.doc FROM hub_object o
WHERE o.kind = $1 AND ($2 = '' OR o.region = $2) AND (o.created_at, o.arn) > ($3, $4) ORDER BY o.created_at, o.arn LIMIT $5;

-- name: FindingExpired
SELECT f.rid, f.account, f.product_arn, f.id, f.region, f.control, f.severity, f.workflow, f.record_state, f.evidence
FROM finding f
WHERE f.record_state = $1 AND f.updated_at < $2 AND f.stored_at < $2
ORDER BY f.updated_at, f.rid LIMIT $3;

-- name: EventDelete row
DELETE FROM finding_event WHERE rid = ?;

-- name: DocDelete row
DELETE FROM finding_doc WHERE rid = $2;

-- name: FindingDelete row
DELETE FROM finding WHERE rid = $2 AND account = $1;

-- name: IdentityDelete row
DELETE FROM finding_identity WHERE key = ?;

-- name: KeyInsert
INSERT INTO api_key (access_key_id, secret, doc, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: KeyRead
SELECT access_key_id, secret, doc, created_at, revoked_at FROM api_key WHERE access_key_id = $1;

-- name: KeyList
SELECT access_key_id, doc, created_at, revoked_at FROM api_key ORDER BY created_at, access_key_id;

-- name: KeyRevoke
UPDATE api_key SET revoked_at = $2 WHERE access_key_id = $1 AND revoked_at = 0;

-- name: SignatureSee
INSERT INTO seen_signature (digest, until) VALUES ($1, $2)
ON CONFLICT (digest) DO UPDATE SET until = excluded.until WHERE seen_signature.until <= $3;

-- name: SignaturePrune
DELETE FROM seen_signature WHERE until <= $1;

-- name: PersonInsert
INSERT INTO person (name, hash, doc, created_at, updated_at, rev) VALUES ($1, $2, $3, $4, $4, 1) ON CONFLICT DO NOTHING;

-- name: PersonRead
SELECT name, hash, doc, created_at, updated_at, rev FROM person WHERE name = $1;

-- name: PersonList
SELECT name, doc, created_at, updated_at, rev FROM person ORDER BY name LIMIT $1;

-- name: PersonHeld
SELECT name, doc, created_at, updated_at, rev FROM person ORDER BY name;

-- name: PersonUpdate
UPDATE person SET hash = $3, doc = $4, updated_at = $5, rev = rev + 1 WHERE name = $1 AND rev = $2;

-- name: PersonDelete
DELETE FROM person WHERE name = $1 AND rev = $2;

-- name: SessionInsert
INSERT INTO person_session (digest, id, name, created_at, expires_at, seen_at, address, agent, seal) VALUES ($1, $2, $3, $4, $5, $4, $6, $7, $8);

-- name: SessionRead
SELECT s.digest, s.id, s.name, s.created_at, s.expires_at, s.seen_at, s.address, s.agent, s.seal, p.hash, p.doc, p.created_at, p.updated_at, p.rev
FROM person_session s JOIN person p ON p.name = s.name WHERE s.digest = $1;

-- name: SessionList
SELECT id, name, created_at, expires_at, seen_at, address, agent FROM person_session
WHERE name = $1 AND expires_at > $2 AND seen_at > $3 ORDER BY created_at DESC, id LIMIT $4;

-- name: SessionSeen
UPDATE person_session SET seen_at = $2 WHERE digest = $1 AND seen_at < $2;

-- name: SessionEnd
DELETE FROM person_session WHERE digest = $1;

-- name: SessionEndID
DELETE FROM person_session WHERE name = $1 AND id = $2;

-- name: SessionEndAll
DELETE FROM person_session WHERE name = $1;

-- name: SessionTrim
DELETE FROM person_session WHERE digest IN (SELECT digest FROM person_session WHERE name = $1 ORDER BY created_at DESC, id LIMIT 1000 OFFSET $2);

-- name: SessionPrune
DELETE FROM person_session WHERE digest IN (SELECT digest FROM person_session WHERE expires_at <= $1 LIMIT $2);

-- name: TryAdd
INSERT INTO sign_in_try (bucket, n, until) VALUES ($1, 1, $2)
ON CONFLICT (bucket) DO UPDATE SET
    n = CASE WHEN sign_in_try.until <= $3 THEN 1 ELSE sign_in_try.n + 1 END,
    until = CASE WHEN sign_in_try.until <= $3 THEN excluded.until ELSE sign_in_try.until END
RETURNING n, until;

-- name: TryForget
DELETE FROM sign_in_try WHERE bucket = $1;

-- name: TryPrune
DELETE FROM sign_in_try WHERE bucket IN (SELECT bucket FROM sign_in_try WHERE until <= $1 LIMIT $2);

-- name: ViewTotalAdd
INSERT INTO saved_view_total (owner, n) VALUES ($1, 1)
ON CONFLICT (owner) DO UPDATE SET n = saved_view_total.n + 1 WHERE saved_view_total.n < $2;

-- name: ViewTotalTake
UPDATE saved_view_total SET n = n - 1 WHERE owner = $1;

-- name: ViewInsert
INSERT INTO saved_view (id, owner, page, shared, created_at, updated_at, doc) VALUES ($1, $2, $3, $4, $5, $5, $6);

-- name: ViewUpdate
UPDATE saved_view SET page = $3, shared = $4, updated_at = $5, doc = $6 WHERE id = $1 AND owner = $2;

-- name: ViewDelete
DELETE FROM saved_view WHERE id = $1 AND owner = $2;

-- name: ViewRead
SELECT id, owner, page, shared, created_at, updated_at, doc FROM saved_view WHERE id = $1;

-- name: ViewPage
SELECT id, owner, page, shared, created_at, updated_at, doc FROM saved_view
WHERE (owner = $1 OR shared = 1) AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4;

-- name: RuleRevision
SELECT rev FROM automation_rule_revision WHERE one = 1;

-- name: RuleRevisionNext
UPDATE automation_rule_revision SET rev = rev + 1 WHERE one = 1;

-- name: RuleInsert
INSERT INTO automation_rule (id, arn, version, token, created_at, rev, size, doc) VALUES ($1, $2, $3, $4, $5, 1, $6, $7)
ON CONFLICT DO NOTHING;

-- name: RuleUpdate
UPDATE automation_rule SET rev = rev + 1, size = $3, doc = $4 WHERE id = $1 AND rev = $2;

-- name: RuleDelete
DELETE FROM automation_rule WHERE id = $1;

-- name: RuleHitDelete
DELETE FROM automation_rule_hit WHERE rule = $1;

-- name: RuleTotal
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM automation_rule;

-- name: RuleAll
SELECT id, arn, version, token, created_at, rev, doc FROM automation_rule ORDER BY created_at, id;

-- name: RuleHitAdd row
INSERT INTO automation_rule_hit (rule, matched, changed, last_at) VALUES (?, ?, ?, ?)
ON CONFLICT (rule) DO UPDATE SET matched = automation_rule_hit.matched + excluded.matched,
    changed = automation_rule_hit.changed + excluded.changed, last_at = MAX(automation_rule_hit.last_at, excluded.last_at);

-- name: RuleHits
SELECT rule, matched, changed, last_at FROM automation_rule_hit WHERE rule IN (SELECT value FROM json_each($1));

-- name: RuleRunInsert
INSERT INTO automation_rule_run (id, rule, created_at, ended_at, rev, doc) VALUES ($1, $2, $3, 0, 1, $4) ON CONFLICT DO NOTHING;

-- name: RuleRunUpdate
UPDATE automation_rule_run SET rev = rev + 1, ended_at = $3, doc = $4 WHERE id = $1 AND rev = $2 AND ended_at = 0;

-- name: RuleRunRead
SELECT id, rule, created_at, ended_at, rev, doc FROM automation_rule_run WHERE id = $1;

-- name: RuleRunOpen
SELECT id, rule, created_at, ended_at, rev, doc FROM automation_rule_run WHERE ended_at = 0 ORDER BY created_at, id LIMIT $1;

-- name: RuleRunPage
SELECT id, rule, created_at, ended_at, rev, doc FROM automation_rule_run f;

-- name: RuleRunPrune
DELETE FROM automation_rule_run WHERE id IN (SELECT id FROM automation_rule_run WHERE ended_at > 0 AND ended_at < $1 ORDER BY ended_at, id LIMIT $2);

-- name: ExceptionRevision
SELECT rev FROM exception_revision WHERE one = 1;

-- name: ExceptionRevisionNext
UPDATE exception_revision SET rev = rev + 1 WHERE one = 1;

-- name: ExceptionInsert
INSERT INTO exception (id, state, created_at, ended_at, due_at, rev, size, doc) VALUES ($1, $2, $3, 0, $4, 1, $5, $6) ON CONFLICT DO NOTHING;

-- name: ExceptionUpdate
UPDATE exception SET state = $3, ended_at = $4, due_at = $5, rev = rev + 1, size = $6, doc = $7 WHERE id = $1 AND rev = $2;

-- name: ExceptionTotal
SELECT COUNT(*), COALESCE(SUM(size), 0) FROM exception WHERE ended_at = 0;

-- name: ExceptionRead
SELECT id, state, created_at, ended_at, due_at, rev, doc FROM exception WHERE id = $1;

-- name: ExceptionsIn
SELECT id, state, created_at, ended_at, due_at, rev, doc FROM exception WHERE state = $1 ORDER BY created_at, id;

-- name: ExceptionDue
SELECT id, state, created_at, ended_at, due_at, rev, doc FROM exception WHERE due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2;

-- name: ExceptionPage
SELECT id, state, created_at, ended_at, due_at, rev, doc FROM exception f;

-- name: ExceptionPrune
DELETE FROM exception WHERE id IN (SELECT id FROM exception WHERE ended_at > 0 AND ended_at < $1 AND due_at = 0 ORDER BY ended_at, id LIMIT $2);

-- name: FindingHeld
SELECT f.exception, COUNT(*) FROM finding f;

-- name: RemediationInsert
INSERT INTO remediation (id, undo_of, finding, control, account, state, created_at, version, doc)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING;

-- name: RemediationRead
SELECT version, doc FROM remediation WHERE id = $1;

-- name: RemediationUpdate
UPDATE remediation SET state = $3, control = $4, version = $2 + 1, doc = $5 WHERE id = $1 AND version = $2;

-- name: RemediationPage
SELECT f.version, f.doc FROM remediation f;

-- name: PlanInsert
INSERT INTO plan (hash, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: PlanRead
SELECT sealed FROM plan WHERE hash = $1;

-- name: ApprovalInsert
INSERT INTO approval (id, remediation, account, state, created_at, expires_at, version, doc, step)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING;

-- name: ApprovalRead
SELECT version, doc FROM approval WHERE id = $1;

-- name: ApprovalLatest
SELECT version, doc FROM approval WHERE remediation = $1 AND step = '' ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: ApprovalOfStep
SELECT version, doc FROM approval WHERE step = $1 AND step <> '' ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: ApprovalUpdate
UPDATE approval SET state = $3, expires_at = $4, version = $2 + 1, doc = $5 WHERE id = $1 AND version = $2;

-- name: ApprovalPage
SELECT f.version, f.doc FROM approval f;

-- name: ApprovalDue
SELECT version, doc FROM approval INDEXED BY approval_due WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2;

-- name: ChangeInsert
INSERT INTO change_record (id, remediation, outcome, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: ChangeRead
SELECT id, sealed FROM change_record WHERE id = $1;

-- name: ChangeUpdate
UPDATE change_record SET outcome = $2, sealed = $4 WHERE id = $1 AND outcome = $3;

-- name: ChangeList
SELECT id, sealed FROM change_record WHERE remediation = $1 ORDER BY seq;

-- name: ExecutionPut
INSERT INTO execution (id, remediation, segment, status, state, lease_owner, lease_epoch, started_at, ended_at, parent, root, document, version, account, region, target, started_by, token, current_step, current_action, parked, about, result, cross_account)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
ON CONFLICT (id) DO UPDATE SET segment = excluded.segment, status = excluded.status, state = excluded.state,
    lease_owner = excluded.lease_owner, lease_epoch = excluded.lease_epoch, ended_at = excluded.ended_at,
    current_step = excluded.current_step, current_action = excluded.current_action, parked = excluded.parked, result = excluded.result
WHERE execution.segment <= excluded.segment AND execution.remediation = excluded.remediation
    AND EXISTS (SELECT 1 FROM node WHERE name = excluded.lease_owner AND epoch = excluded.lease_epoch AND until > $25);

-- name: ExecutionRead
SELECT f.id, f.remediation, f.segment, f.status, f.state, f.lease_owner, f.lease_epoch, f.started_at, f.ended_at, f.parent, f.root, f.document, f.version,
    f.account, f.region, f.target, f.started_by, f.token, f.current_step, f.current_action, f.parked, f.about, f.result, f.cross_account
FROM execution f WHERE f.id = $1;

-- name: ExecutionInsert row
INSERT INTO execution (id, remediation, segment, status, state, lease_owner, lease_epoch, started_at, ended_at, parent, root, document, version, account, region, target, started_by, token, current_step, current_action, parked, about, result, cross_account)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: ExecutionToken
SELECT f.id, f.remediation, f.segment, f.status, f.state, f.lease_owner, f.lease_epoch, f.started_at, f.ended_at, f.parent, f.root, f.document, f.version,
    f.account, f.region, f.target, f.started_by, f.token, f.current_step, f.current_action, f.parked, f.about, f.result, f.cross_account
FROM execution f WHERE f.token = $1 AND f.token <> '';

-- name: ExecutionsRead
SELECT f.id, f.remediation, f.segment, f.status, f.state, f.lease_owner, f.lease_epoch, f.started_at, f.ended_at, f.parent, f.root, f.document, f.version,
    f.account, f.region, f.target, f.started_by, f.token, f.current_step, f.current_action, f.parked, f.about, f.result, f.cross_account
FROM execution f WHERE f.id IN (SELECT value FROM json_each($1));

-- name: RemediationAccount
SELECT account FROM remediation WHERE id = $1;

-- name: ExecutionOwners
SELECT DISTINCT e.remediation, r.account FROM execution e JOIN remediation r ON r.id = e.remediation WHERE e.id IN (SELECT value FROM json_each($1));

-- name: ExecutionPage
SELECT f.id, f.remediation, f.segment, f.status, f.state, f.lease_owner, f.lease_epoch, f.started_at, f.ended_at, f.parent, f.root, f.document, f.version,
    f.account, f.region, f.target, f.started_by, f.token, f.current_step, f.current_action, f.parked, f.about, f.result, f.cross_account
FROM execution f;

-- name: ExecutionEnd
UPDATE execution SET status = $2, ended_at = $3, result = $4, parked = 0, current_step = '', current_action = '' WHERE id = $1 AND ended_at = 0;

-- name: ExecutionAt
UPDATE execution SET current_step = $2, current_action = $3, status = $4 WHERE id = $1 AND segment = $5 AND ended_at = 0 AND parked = 0;

-- name: SignalNext
UPDATE execution SET signals = signals + 1 WHERE id = $1 AND ended_at = 0 RETURNING signals;

-- name: SignalInsert
INSERT INTO execution_signal (execution, n, kind, sealed) VALUES ($1, $2, $3, $4);

-- name: SignalList
SELECT execution, n, kind, sealed FROM execution_signal WHERE execution = $1 AND n > $2 ORDER BY n LIMIT $3;

-- name: ScriptCallInsert
INSERT INTO script_call (execution, key, n, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: ScriptCallList
SELECT n, sealed FROM script_call WHERE execution = $1 AND key = $2 ORDER BY n;

-- name: ScriptCallDrop
DELETE FROM script_call WHERE execution = $1;

-- name: StepPut row
INSERT INTO step (execution, seq, name, action, attempt, status, sealed, started_at, ended_at, step_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (execution, seq) DO UPDATE SET name = excluded.name, action = excluded.action,
    attempt = excluded.attempt, status = excluded.status, sealed = excluded.sealed,
    started_at = excluded.started_at, ended_at = excluded.ended_at, step_id = excluded.step_id;

-- name: StepPage
SELECT f.execution, f.seq, f.name, f.action, f.attempt, f.status, f.sealed, f.started_at, f.ended_at, f.step_id
FROM step f;

-- name: StepPrune
DELETE FROM step WHERE execution IN
    (SELECT id FROM execution WHERE ended_at <> 0 AND ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: ExecutionPrune
DELETE FROM execution WHERE id IN
    (SELECT id FROM execution WHERE ended_at <> 0 AND ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: SignalPrune
DELETE FROM execution_signal WHERE execution IN
    (SELECT id FROM execution WHERE ended_at <> 0 AND ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: ScriptCallPrune
DELETE FROM script_call WHERE execution IN
    (SELECT id FROM execution WHERE ended_at <> 0 AND ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: BlobUsePrune
DELETE FROM blob_use WHERE owner IN
    (SELECT 'execution/' || id FROM execution WHERE ended_at <> 0 AND ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: BlobPut
INSERT INTO blob (sha256, size, put_at, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (sha256) DO UPDATE SET put_at = excluded.put_at;

-- name: BlobUse
INSERT INTO blob_use (owner, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: BlobRead
SELECT sealed FROM blob WHERE sha256 = $1;

-- name: BlobRelease
DELETE FROM blob_use WHERE owner = $1;

-- name: BlobPrune
DELETE FROM blob WHERE sha256 IN
    (SELECT b.sha256 FROM blob b WHERE b.put_at < $1 AND NOT EXISTS (SELECT 1 FROM blob_use u WHERE u.sha256 = b.sha256) ORDER BY b.put_at LIMIT $2);

-- name: DocumentInsert
INSERT INTO document (name, latest, default_version, created_at, rev, doc) VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING;

-- name: DocumentUpdate
UPDATE document SET latest = $3, default_version = $4, rev = $2 + 1, doc = $5 WHERE name = $1 AND rev = $2;

-- name: DocumentRead
SELECT f.name, f.latest, f.default_version, f.created_at, f.rev, f.doc FROM document f WHERE f.name = $1;

-- name: DocumentPage
SELECT f.name, f.latest, f.default_version, f.created_at, f.rev, f.doc FROM document f;

-- name: DocumentCount
SELECT count(*) FROM document;

-- name: DocumentDelete
DELETE FROM document WHERE name = $1;

-- name: VersionInsert
INSERT INTO document_version (name, version, revision, doc, content) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- name: VersionRead
SELECT f.name, f.version, f.revision, f.doc, f.content FROM document_version f WHERE f.name = $1 AND f.version = $2;

-- name: VersionPage
SELECT f.name, f.version, f.revision, f.doc, f.content FROM document_version f;

-- name: VersionUpdate
UPDATE document_version SET doc = $3 WHERE name = $1 AND version = $2;

-- name: VersionDelete
DELETE FROM document_version WHERE name = $1 AND version = $2;

-- name: VersionCount
SELECT count(*) FROM document_version WHERE name = $1;

-- name: VersionsDelete
DELETE FROM document_version WHERE name = $1;

-- name: MessageAppend row
INSERT INTO outbox (id, topic, payload, state, since, due_at, claimed_by, claimed_until, claims, attempts, reason, done_at)
VALUES ($1, $2, $3, 0, $4, $4, '', 0, 0, 0, '', 0) ON CONFLICT (id) DO NOTHING;

-- name: MessageDue
SELECT o.seq FROM json_each($1) t JOIN outbox o ON o.seq IN
  (SELECT d.seq FROM outbox d WHERE d.state = 0 AND d.topic = t.value AND d.due_at <= $2 ORDER BY d.due_at, d.seq LIMIT $3)
ORDER BY o.due_at, o.seq LIMIT $3;

-- name: MessageClaim
UPDATE outbox SET claimed_by = $2, claimed_until = $3, due_at = $3, claims = claims + 1, attempts = attempts + 1
WHERE state = 0 AND seq IN (SELECT value FROM json_each($1))
RETURNING seq, id, topic, payload, since, claims, attempts;

-- name: MessageDone
UPDATE outbox SET state = 1, payload = x'', done_at = $2, claimed_until = 0, reason = '' FROM json_each($1) d
WHERE outbox.seq = d.value ->> 0 AND outbox.claims = d.value ->> 1 AND outbox.claimed_by <> '' AND outbox.state = 0
RETURNING outbox.seq;

-- name: MessageState
SELECT state, claims FROM outbox WHERE seq = $1;

-- name: MessageRetry
UPDATE outbox SET due_at = $3, reason = $4, claimed_by = '', claimed_until = 0
WHERE seq = $1 AND claims = $2 AND claimed_by <> '' AND state = 0;

-- name: MessageHeld
UPDATE outbox SET due_at = $3, since = $3, attempts = 0, reason = $4, claimed_by = '', claimed_until = 0
WHERE seq = $1 AND claims = $2 AND claimed_by <> '' AND state = 0;

-- name: MessageRelease
UPDATE outbox SET due_at = $2, claimed_by = '', claimed_until = 0
WHERE state = 0 AND claimed_until > $2 AND claimed_by IN (SELECT value FROM json_each($1));

-- name: MessageDead
UPDATE outbox SET state = 2, reason = $4, done_at = $3, claimed_until = 0 WHERE seq = $1 AND claims = $2 AND claimed_by <> '' AND state = 0;

-- name: MessageDeadList
SELECT seq, id, topic, payload, since, claims, attempts, reason, done_at
FROM outbox WHERE state = 2 ORDER BY done_at DESC, seq DESC LIMIT $1;

-- name: MessageRequeue
UPDATE outbox SET state = 0, attempts = 0, since = $2, due_at = $2, done_at = 0, claimed_by = '', reason = ''
WHERE seq = $1 AND state = 2;

-- name: MessagePrune
DELETE FROM outbox WHERE seq IN
    (SELECT seq FROM outbox WHERE state = $1 AND state <> 0 AND done_at < $2 ORDER BY done_at LIMIT $3);

-- name: GroupLock
INSERT INTO notification_group (channel, grouping, message, due_at, taken_at) VALUES ($1, $2, 0, 0, 0)
ON CONFLICT (channel, grouping) DO UPDATE SET channel = excluded.channel
RETURNING message, due_at, taken_at;

-- name: GroupSchedule
UPDATE notification_group SET message = $3, due_at = $4 WHERE channel = $1 AND grouping = $2;

-- name: GroupTaken
UPDATE notification_group SET due_at = 0, taken_at = $3 WHERE channel = $1 AND grouping = $2;

-- name: GroupAssign
UPDATE notification SET message = $3 WHERE id IN
    (SELECT id FROM notification WHERE channel = $1 AND grouping = $2 AND grouping <> '' AND message = 0 AND sent_at = 0 ORDER BY rank DESC, put_at, id LIMIT $4);

-- name: GroupTotal
SELECT COUNT(*) FILTER (WHERE sent_at = 0), CAST(COALESCE(SUM(items) FILTER (WHERE sent_at = 0), 0) AS BIGINT), COUNT(*) FILTER (WHERE sent_at > 0)
FROM notification WHERE channel = $1 AND grouping = $2 AND grouping <> '' AND message = $3;

-- name: GroupList
SELECT id, rank, items, doc FROM notification
WHERE channel = $1 AND grouping = $2 AND grouping <> '' AND message = $3 AND sent_at = 0 ORDER BY rank DESC, put_at, id LIMIT $4;

-- name: GroupSent
UPDATE notification SET sent_at = $4, doc = x'' WHERE channel = $1 AND grouping = $2 AND grouping <> '' AND message = $3 AND sent_at = 0;

-- name: GroupPrune
DELETE FROM notification_group WHERE (channel, grouping) IN
    (SELECT channel, grouping FROM notification_group WHERE due_at = 0 AND taken_at < $1 LIMIT $2);

-- name: GroupHalt
UPDATE notification_group SET due_at = 0 WHERE due_at <> 0;

-- name: NotificationHalt
UPDATE notification SET message =
    (SELECT g.message FROM notification_group g WHERE g.channel = notification.channel AND g.grouping = notification.grouping)
WHERE grouping <> '' AND message = 0 AND sent_at = 0 AND EXISTS
    (SELECT 1 FROM notification_group g WHERE g.channel = notification.channel AND g.grouping = notification.grouping AND g.due_at <> 0);

-- name: NotificationHold
INSERT INTO notification (id, channel, grouping, message, rank, items, put_at, sent_at, doc) VALUES ($1, $2, $3, 0, $4, $5, $6, 0, $7)
ON CONFLICT (id) DO NOTHING;

-- name: NotificationSent
SELECT sent_at FROM notification WHERE id = $1;

-- name: NotificationNote
INSERT INTO notification (id, channel, grouping, message, rank, items, put_at, sent_at, doc) VALUES ($1, $2, '', 0, 0, 1, $3, $3, x'')
ON CONFLICT (id) DO UPDATE SET sent_at = excluded.sent_at, doc = excluded.doc;

-- name: NotificationPrune
DELETE FROM notification WHERE id IN
    (SELECT id FROM notification WHERE put_at < $1 AND (sent_at > 0 OR put_at < $2) LIMIT $3);

-- name: ThreadRead
SELECT ref FROM notification_thread WHERE channel = $1 AND thread = $2;

-- name: ThreadPut
INSERT INTO notification_thread (channel, thread, ref, put_at) VALUES ($1, $2, $3, $4) ON CONFLICT (channel, thread) DO NOTHING;

-- name: ThreadPrune
DELETE FROM notification_thread WHERE (channel, thread) IN
    (SELECT channel, thread FROM notification_thread WHERE put_at < $1 LIMIT $2);

-- name: AuditEnqueue row
INSERT INTO audit_outbox (doc) VALUES (?);

-- name: AuditPending
SELECT seq, doc FROM audit_outbox ORDER BY seq LIMIT $1;

-- name: AuditDone
DELETE FROM audit_outbox WHERE seq IN (SELECT value FROM json_each($1));

-- name: AuditKnown
SELECT seq FROM audit_log WHERE file = $1 AND seq IN (SELECT value FROM json_each($2));

-- name: AuditInsert row
INSERT INTO audit_log (idx, prev_hash, hash, file, seq, doc) VALUES (?, ?, ?, ?, ?, ?);

-- name: AuditLast
SELECT idx, prev_hash, hash, file, seq, doc FROM audit_log ORDER BY idx DESC LIMIT 1;

-- name: AuditPage
SELECT idx, prev_hash, hash, file, seq, doc FROM audit_log WHERE idx > $1 ORDER BY idx LIMIT $2;

-- name: AuditFind
SELECT idx, prev_hash, hash, file, seq, doc FROM audit_log WHERE file = $1 AND seq = $2;

-- name: NodeExtend
UPDATE node SET until = $2 WHERE name = $1 AND until > $3 RETURNING epoch;

-- name: EpochNext
UPDATE epoch SET n = n + 1 WHERE one = 1 RETURNING n;

-- name: NodePut
INSERT INTO node (name, epoch, until) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, until = excluded.until;

-- name: NodeRead
SELECT epoch, until FROM node WHERE name = $1;

-- name: NodeDead
SELECT name FROM node WHERE until <= $1 ORDER BY until, name;

-- name: NodeRelease
UPDATE node SET until = $3 WHERE name = $1 AND epoch = $2 AND until > $3;

-- name: NodePrune
DELETE FROM node WHERE until < $1;

-- name: LeaseTake
INSERT INTO lease (name, node, until) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET node = excluded.node, until = excluded.until
WHERE lease.node = excluded.node OR lease.until <= $4;

-- name: LeaseRelease
DELETE FROM lease WHERE name = $1 AND node = $2;

-- name: LeaseDrop
DELETE FROM lease WHERE node <> $1;

-- name: TimerPut
INSERT INTO timer (id, at, payload) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET at = excluded.at, payload = excluded.payload;

-- name: TimerDue
SELECT id, at, payload FROM timer WHERE at <= $1 ORDER BY at, id LIMIT $2;

-- name: TimerDelete
DELETE FROM timer WHERE id = $1;

-- name: TimerPrune
DELETE FROM timer WHERE at < $1;

-- name: SwitchRead
SELECT on_, reason FROM stop_switch WHERE one = 1;

-- name: SwitchSet
UPDATE stop_switch SET on_ = $1, reason = $2, since = $3 WHERE one = 1;

-- name: BudgetSpend
INSERT INTO budget (name, key, since, until, cap, used) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT (name, key, since) DO UPDATE SET used = used + 1, until = excluded.until, cap = excluded.cap WHERE used < excluded.cap;

-- name: BudgetRefund
UPDATE budget SET used = used - 1 WHERE name = $1 AND key = $2 AND since = $3 AND used > 0;

-- name: BudgetRead
SELECT used FROM budget WHERE name = $1 AND key = $2 AND since = $3;

-- name: BudgetList
SELECT name, key, since, until, cap, used FROM budget WHERE until > $1 ORDER BY used DESC, name, key, since LIMIT $2;

-- name: BudgetPrune
DELETE FROM budget WHERE (name, key, since) IN (SELECT name, key, since FROM budget WHERE until <= $1 LIMIT $2);

-- name: ThrottlePut row
INSERT INTO throttle_cut (key, rate, at) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET rate = excluded.rate, at = excluded.at
-- What comes within half a second was the same storm, seen by another node.
WHERE excluded.at >= throttle_cut.at + 500000;

-- name: ThrottleList
SELECT key, rate, at FROM throttle_cut WHERE at > $1 ORDER BY at DESC, key LIMIT $2;

-- name: ThrottlePrune
DELETE FROM throttle_cut WHERE at <= $1;

-- name: NodeCount
SELECT count(*) FROM node WHERE until > $1;

-- name: CallAppend row
INSERT INTO aws_call (at, change_id, remediation, execution, step, mode, account, region, service, operation,
    class, resource, digest, request_id, attempts, http_status, duration, outcome, code, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (change_id) WHERE change_id <> '' DO NOTHING;

-- name: CallUpdate
UPDATE aws_call SET request_id = $2, attempts = $3, http_status = $4, duration = $5, outcome = $6, code = $7
WHERE change_id = $1 AND change_id <> '';

-- name: CallPage
SELECT f.seq, f.at, f.change_id, f.remediation, f.execution, f.step, f.mode, f.account, f.region, f.service, f.operation,
    f.class, f.resource, f.digest, f.request_id, f.attempts, f.http_status, f.duration, f.outcome, f.code, f.detail
FROM aws_call f;

-- name: CallPrune
DELETE FROM aws_call WHERE seq IN (SELECT seq FROM aws_call WHERE at < $1 ORDER BY at LIMIT $2);

-- name: CallTrim
DELETE FROM aws_call WHERE seq IN
    (SELECT seq FROM aws_call WHERE seq <= (SELECT max(seq) FROM aws_call) - $1 ORDER BY seq LIMIT $2);

-- name: RejectedPut row
INSERT INTO rejected (id, source, place, finding_id, code, reason, at, cut, body, times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
ON CONFLICT (id) DO UPDATE SET place = excluded.place, reason = excluded.reason, code = excluded.code, at = max(at, excluded.at), times = times + 1;

-- name: RejectedPage
SELECT f.id, f.source, f.place, f.finding_id, f.code, f.reason, f.at, f.times, f.cut FROM rejected f;

-- name: RejectedRead
SELECT id, source, place, finding_id, code, reason, at, times, cut, body FROM rejected WHERE id = $1;

-- name: RejectedDelete
DELETE FROM rejected WHERE id = $1;

-- name: RejectedPrune
DELETE FROM rejected WHERE id IN (SELECT id FROM rejected WHERE at < $1 ORDER BY at, id LIMIT $2);

-- name: RejectedTrim
DELETE FROM rejected WHERE id IN (SELECT id FROM rejected ORDER BY at, id
    LIMIT (SELECT min($2, max(0, COUNT(*) - $1)) FROM rejected));

-- name: SourceStateRead
SELECT doc FROM source_state WHERE name = $1;

-- name: SourceStatePut
INSERT INTO source_state (name, doc, at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET doc = excluded.doc, at = excluded.at;

-- name: SourceStatePrune
DELETE FROM source_state WHERE name IN (SELECT name FROM source_state WHERE substr(name, 1, length($1)) = $1 AND at < $2 LIMIT $3);

-- name: MemberPut row
INSERT INTO org_member (id, name, unit, unit_ids, state, tags, joined_at, first_seen, last_seen, tags_at, rev)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, unit = excluded.unit, unit_ids = excluded.unit_ids, state = excluded.state, tags = excluded.tags,
    joined_at = excluded.joined_at, last_seen = excluded.last_seen, tags_at = excluded.tags_at, rev = excluded.rev
WHERE org_member.rev = excluded.rev - 1;

-- name: MemberList
SELECT id, name, unit, unit_ids, state, tags, joined_at, first_seen, last_seen, tags_at, rev FROM org_member ORDER BY id;

-- name: MemberRevision
SELECT COUNT(*), COALESCE(SUM(rev), 0) FROM org_member;

-- name: MemberRead
SELECT id, name, unit, unit_ids, state, tags, joined_at, first_seen, last_seen, tags_at, rev FROM org_member WHERE id = $1;

-- name: MemberPrune
DELETE FROM org_member WHERE id IN (SELECT id FROM org_member WHERE state = 'LEFT' AND last_seen < $1 LIMIT $2);

-- name: OrgChangePut row
INSERT INTO org_change (account, at, kind, was, became) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: OrgChangePage
SELECT f.account, f.at, f.kind, f.was, f.became FROM org_change f;

-- name: OrgChangePrune
DELETE FROM org_change WHERE (account, at, kind) IN (SELECT account, at, kind FROM org_change WHERE at < $1 ORDER BY at LIMIT $2);

-- name: CoveragePut row
INSERT INTO org_coverage (account, region, state, since, reason, detail, next, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, region) DO UPDATE SET state = excluded.state, since = excluded.since, reason = excluded.reason, detail = excluded.detail,
    next = excluded.next, checked_at = excluded.checked_at;

-- name: CoveragePage
SELECT f.account, f.region, f.state, f.since, f.reason, f.detail, f.next, f.checked_at FROM org_coverage f;

-- name: CoverageCount
SELECT f.state, f.reason, COUNT(*) FROM org_coverage f;

-- name: CoverageDrop row
DELETE FROM org_coverage WHERE account = ? AND region = ?;

-- name: SightingPut row
INSERT INTO org_sighting (account, region, source, at) VALUES (?, ?, ?, ?)
ON CONFLICT (account, region, source) DO UPDATE SET at = max(at, excluded.at);

-- name: SightingList
SELECT account, region, source, at FROM org_sighting WHERE $1 = '' OR account = $1 ORDER BY account, region, source;

-- name: SightingPrune
DELETE FROM org_sighting WHERE (account, region, source) IN (SELECT account, region, source FROM org_sighting WHERE at < $1 LIMIT $2);

-- name: BusEventAppend row
INSERT INTO bus_event (bus, at, since, owner, open, holds, targets, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: ArchivedAppend row
INSERT INTO archived (archive, at, event) VALUES (?, ?, ?);

-- name: BusEventWaiting
SELECT seq FROM bus_event WHERE open = 1 AND owner IN (SELECT value FROM json_each($1)) ORDER BY seq LIMIT $2;

-- name: BusEventClaim
UPDATE bus_event SET owner = $2 WHERE open = 1 AND seq IN (SELECT value FROM json_each($1))
RETURNING seq, bus, at, since, targets, doc;

-- name: BusEventDone
DELETE FROM bus_event WHERE open = 1 AND owner = $2 AND holds = 1 AND seq IN (SELECT value FROM json_each($1));

-- name: BusEventClose
UPDATE bus_event SET open = 0, owner = '' WHERE open = 1 AND owner = $2 AND seq IN (SELECT value FROM json_each($1)) RETURNING seq;

-- name: BusEventHold
UPDATE bus_event SET holds = holds + (d.value ->> 1) FROM json_each($1) d WHERE bus_event.seq = d.value ->> 0;

-- name: BusEventSweep
DELETE FROM bus_event WHERE holds = 0 AND seq IN (SELECT value ->> 0 FROM json_each($1));

-- name: ArchivedPage
SELECT e.seq, e.bus, e.at, e.since, e.targets, e.doc FROM archived a CROSS JOIN bus_event e ON e.seq = a.event
WHERE a.archive = $1 AND (a.at, a.event) > ($2, $3) AND a.at < $4 ORDER BY a.at, a.event LIMIT $5;

-- name: ArchivedPrune
DELETE FROM archived WHERE (archive, at, event) IN
    (SELECT archive, at, event FROM archived WHERE archive = $1 AND at < $2 ORDER BY at, event LIMIT $3) RETURNING event;

-- name: ArchivedSize
SELECT COUNT(*), COALESCE(SUM(LENGTH(e.doc)), 0) FROM archived a CROSS JOIN bus_event e ON e.seq = a.event WHERE a.archive = $1;

-- name: BusDeliveryAppend row
INSERT INTO bus_delivery (event, rule, target, address, state, since, due_at, attempts, claimed_by, claimed_until, claims, code, reason, died_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0, 0, $9, $10, $11);

-- name: BusAddressDue
WITH RECURSIVE a (address, due_at, n) AS (
    SELECT * FROM (SELECT address, due_at, 1 FROM bus_delivery WHERE state = 0 AND address > $1 ORDER BY address, due_at LIMIT 1)
    UNION ALL
    SELECT (SELECT d.address FROM bus_delivery d WHERE d.state = 0 AND d.address > a.address ORDER BY d.address, d.due_at LIMIT 1),
        (SELECT d.due_at FROM bus_delivery d WHERE d.state = 0 AND d.address > a.address ORDER BY d.address, d.due_at LIMIT 1), n + 1
    FROM a WHERE a.address IS NOT NULL AND n <= $2)
SELECT address, due_at FROM a WHERE address IS NOT NULL ORDER BY address LIMIT $2;

-- name: BusDeliveryDue
SELECT seq FROM bus_delivery WHERE state = 0 AND address = $1 AND due_at <= $2 ORDER BY due_at, seq LIMIT $3;

-- name: BusDeliveryClaim
UPDATE bus_delivery SET claimed_by = $2, claimed_until = $3, due_at = $3, claims = claims + 1
WHERE state = 0 AND seq IN (SELECT value FROM json_each($1));

-- name: BusDeliveryRead
SELECT d.seq, d.event, d.rule, d.target, d.address, d.state, d.since, d.due_at, d.attempts, d.claims, d.code, d.reason, d.died_at, e.bus, e.doc
FROM json_each($1) j CROSS JOIN bus_delivery d ON d.seq = j.value CROSS JOIN bus_event e ON e.seq = d.event;

-- name: BusDeliveryDone
DELETE FROM bus_delivery WHERE state = 0 AND (seq, claims) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1)) RETURNING event;

-- name: BusDeliveryAgain row
UPDATE bus_delivery SET state = $3, due_at = $4, attempts = $5, code = $6, reason = $7, died_at = $8, claimed_by = '', claimed_until = 0
WHERE seq = $1 AND claims = $2 AND state = 0;

-- name: BusDeliveryRelease
UPDATE bus_delivery SET due_at = $2, claimed_by = '', claimed_until = 0
WHERE state = 0 AND claimed_until > $2 AND claimed_by IN (SELECT value FROM json_each($1));

-- name: BusDeadPage
SELECT d.seq, d.event, d.rule, d.target, d.address, d.state, d.since, d.due_at, d.attempts, d.claims, d.code, d.reason, d.died_at, e.bus, e.doc
FROM bus_delivery d CROSS JOIN bus_event e ON e.seq = d.event
WHERE d.state = 2 AND ($1 = '' OR e.bus = $1) AND ($2 = '' OR d.rule = $2) AND ($3 = '' OR d.target = $3) AND ($4 = '' OR d.code = $4)
    AND (d.died_at, d.seq) < ($5, $6)
ORDER BY d.died_at DESC, d.seq DESC LIMIT $7;

-- name: BusDeadRedrive
UPDATE bus_delivery SET state = 0, attempts = 0, since = $7, due_at = $7, died_at = 0, code = '', reason = '', claims = claims + 1
WHERE seq IN (SELECT d.seq FROM bus_delivery d CROSS JOIN bus_event e ON e.seq = d.event
    WHERE d.state = 2 AND ($1 = '' OR e.bus = $1) AND ($2 = '' OR d.rule = $2) AND ($3 = '' OR d.target = $3) AND ($4 = '' OR d.code = $4)
        AND ($5 = 0 OR d.seq IN (SELECT value FROM json_each($6)))
    ORDER BY d.died_at, d.seq LIMIT $8);

-- name: BusDeadPrune
DELETE FROM bus_delivery WHERE seq IN
    (SELECT seq FROM bus_delivery WHERE state = 2 AND died_at < $1 ORDER BY died_at LIMIT $2) RETURNING event;

-- name: BusRevision
SELECT n FROM bus_revision WHERE one = 1;

-- name: BusRevisionNext
UPDATE bus_revision SET n = n + 1 WHERE one = 1;

-- name: BusTotal
SELECT n FROM bus_total WHERE kind = $1 AND bus = $2;

-- name: BusTotalAdd
INSERT INTO bus_total (kind, bus, n) VALUES ($1, $2, 1)
ON CONFLICT (kind, bus) DO UPDATE SET n = bus_total.n + 1 WHERE bus_total.n < $3;

-- name: BusTotalTake
UPDATE bus_total SET n = n - 1 WHERE kind = $1 AND bus = $2;

-- name: BusTotalDrop
DELETE FROM bus_total WHERE kind = $1 AND bus = $2;

-- name: BusInsert
INSERT INTO bus_object (kind, bus, name, created_at, rev, sealed) VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING;

-- name: BusUpdate
UPDATE bus_object SET rev = rev + 1, sealed = $5 WHERE kind = $1 AND bus = $2 AND name = $3 AND rev = $4;

-- name: BusDelete
DELETE FROM bus_object WHERE kind = $1 AND bus = $2 AND name = $3 AND rev = $4;

-- name: BusRead
SELECT bus, name, created_at, rev, sealed FROM bus_object WHERE kind = $1 AND bus = $2 AND name = $3;

-- name: BusHead
SELECT rev FROM bus_object WHERE kind = $1 AND bus = $2 AND name = $3;

-- name: BusPage
SELECT bus, name, created_at, rev, sealed FROM bus_object
WHERE kind = $1 AND bus = $2 AND name > $3 AND name >= $4 AND name < $5 ORDER BY name LIMIT $6;

-- name: BusAll
SELECT bus, name, created_at, rev, sealed FROM bus_object
WHERE kind = $1 AND (bus, name) > ($2, $3) ORDER BY bus, name LIMIT $4;

-- name: BusHeads
SELECT bus, name, created_at, rev FROM bus_object WHERE kind = $1 ORDER BY bus, name;

-- name: BusEventFree
UPDATE bus_event SET owner = '' WHERE open = 1;

-- name: BusDeliveryHalt
UPDATE bus_delivery SET state = 2, claimed_by = '', claimed_until = 0, claims = claims + 1, code = $1, reason = $2, died_at = $3 WHERE state = 0;

-- name: CaseInsert
INSERT INTO case_file (id, status, created_at, closed_at, rev, sealed) VALUES ($1, $2, $3, 0, 1, $4) ON CONFLICT DO NOTHING;

-- name: CaseUpdate
UPDATE case_file SET status = $3, closed_at = $4, rev = rev + 1, sealed = $5 WHERE id = $1 AND rev = $2;

-- name: CaseOpenTotal
SELECT COUNT(*) FROM (SELECT 1 FROM case_file WHERE closed_at = 0 LIMIT $1) o;

-- name: CaseRead
SELECT id, rev, sealed FROM case_file WHERE id = $1;

-- name: CasePage
SELECT id, rev, sealed FROM case_file f;

-- name: CaseAccountPut
INSERT INTO case_account (case_id, account) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: CaseGroupRead
SELECT case_id, last_at FROM case_group WHERE name = $1;

-- name: CaseGroupPut
INSERT INTO case_group (name, case_id, last_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET case_id = excluded.case_id, last_at = excluded.last_at WHERE case_group.case_id = $4;

-- name: CaseGroupFree
DELETE FROM case_group WHERE case_id = $1;

-- name: CaseEntryAppend
INSERT INTO case_entry (case_id, seq, event, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (event) WHERE event <> '' DO NOTHING;

-- name: CaseOfEvent
SELECT case_id FROM case_entry WHERE event = $1 AND event <> '';

-- name: CaseEntryPage
SELECT case_id, seq, sealed FROM case_entry f;

-- name: CaseExpired
SELECT id FROM case_file WHERE closed_at > 0 AND closed_at < $1 ORDER BY closed_at, id LIMIT $2;

-- name: CaseEntryDrop
DELETE FROM case_entry WHERE case_id IN (SELECT value FROM json_each($1));

-- name: CaseAccountDrop
DELETE FROM case_account WHERE case_id IN (SELECT value FROM json_each($1));

-- name: CaseDrop
DELETE FROM case_file WHERE id IN (SELECT value FROM json_each($1));
