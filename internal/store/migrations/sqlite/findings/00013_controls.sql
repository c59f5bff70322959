-- +goose Up

-- What a finding says about controls, as control.Evidence writes it: a state, the
-- controls, the standards that it counts for. '' for one that says nothing.
ALTER TABLE finding ADD COLUMN evidence TEXT NOT NULL DEFAULT '';

-- How many findings say what of each control, kept by the commits themselves:
-- status and score are read from here.
CREATE TABLE finding_count_control (
    control   TEXT NOT NULL,
    standards TEXT NOT NULL,
    state     TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (control, standards, state)
) WITHOUT ROWID;

CREATE TABLE finding_count_control_account (
    account   TEXT NOT NULL,
    control   TEXT NOT NULL,
    standards TEXT NOT NULL,
    state     TEXT NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (account, control, standards, state)
) WITHOUT ROWID;

-- Findings that are there count by what their columns tell. Which standards a
-- consolidated one names only its document says, so until its provider reports
-- it again it counts for all that have its control.
UPDATE finding SET evidence =
    CASE WHEN workflow = 'SUPPRESSED' THEN 'SUPPRESSED' ELSE compliance END || '|' || control || '|' ||
        CASE
            WHEN generator LIKE '%aws-foundational-security-best-practices/v/1.0.0/%' THEN 'fsbp'
            WHEN generator LIKE '%cis-aws-foundations-benchmark/v/1.2.0/%' THEN 'cis-1.2'
            WHEN generator LIKE '%cis-aws-foundations-benchmark/v/1.4.0/%' THEN 'cis-1.4'
            WHEN generator LIKE '%cis-aws-foundations-benchmark/v/3.0.0/%' THEN 'cis-3.0'
            WHEN generator LIKE '%cis-aws-foundations-benchmark/v/5.0.0/%' THEN 'cis-5.0'
            WHEN generator LIKE '%nist-800-53/v/5.0.0/%' THEN 'nist-800-53'
            WHEN generator LIKE '%nist-800-171/v/2.0.0/%' THEN 'nist-800-171'
            WHEN generator LIKE '%pci-dss/v/3.2.1/%' THEN 'pci-3.2.1'
            WHEN generator LIKE '%pci-dss/v/4.0.1/%' THEN 'pci-4.0.1'
            WHEN generator LIKE '%service-managed-aws-control-tower/v/1.0.0/%' THEN 'control-tower'
            ELSE ''
        END
WHERE control <> '' AND control NOT LIKE '%|%' AND control NOT LIKE '%,%' AND record_state <> 'ARCHIVED' AND compliance IN ('PASSED', 'FAILED', 'WARNING', 'NOT_AVAILABLE')
    AND product_arn LIKE '%:product/aws/securityhub';

INSERT INTO finding_count_control_account (account, control, standards, state, n)
SELECT account, control, substr(evidence, length(compliance_or_suppressed) + length(control) + 3), compliance_or_suppressed, COUNT(*)
FROM (SELECT account, control, evidence, CASE WHEN workflow = 'SUPPRESSED' THEN 'SUPPRESSED' ELSE compliance END AS compliance_or_suppressed
      FROM finding WHERE evidence <> '') f
GROUP BY 1, 2, 3, 4;

INSERT INTO finding_count_control (control, standards, state, n)
SELECT control, standards, state, SUM(n) FROM finding_count_control_account GROUP BY control, standards, state;
