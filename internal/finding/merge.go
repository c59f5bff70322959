package finding

// Create gives the finding that a provider's first version of it makes:
// provider fields and top level agree, severity is complete, workflow and
// record state are set. It is also the view that automation rules test: the
// provider's finding, free of what customers and rules made of it.
func Create(incoming Finding) Finding {
	f := incoming.clone()
	f.setDefaults()
	fpf := f.providerFields()
	for _, name := range shared() {
		v := meant(name, fpf[name])
		if v == nil {
			v = meant(name, f.doc[name])
		}
		if v == nil {
			continue
		}
		v = complete(name, v)
		fpf[name], f.doc[name] = v, v
	}
	f.setProviderFields(fpf)
	if f.String("Workflow", "Status") == "" {
		f = f.WithWorkflow(InitialWorkflow(f.Compliance()))
	}
	return f
}

// Merge gives the finding after the provider of existing sent incoming, which
// the caller has found to be later (Later). Touched names what the customer
// has set.
//
//   - The five shared attributes follow the provider in FindingProviderFields;
//     at the top level only where the customer has not set them. One that
//     incoming does not mention stays as it is.
//   - Note, UserDefinedFields, VerificationState and Workflow of incoming are
//     ignored: after creation they are the customer's.
//   - Everything else is replaced, so a member that incoming lacks is gone.
//   - The workflow state moves as NextWorkflow says.
func Merge(existing, incoming Finding, touched Touched) Finding {
	f := incoming.clone()
	stated := f.providerFields()
	fpf := existing.providerFields()
	for _, name := range shared() {
		top := meant(name, f.doc[name])
		if v := meant(name, stated[name]); v != nil {
			fpf[name] = complete(name, v)
			if top == nil {
				top = v
			}
		} else if top != nil {
			fpf[name] = complete(name, top)
		}
		if top == nil || touched.Has(name) {
			top = existing.doc[name]
		}
		f.put(name, complete(name, top))
	}
	f.setProviderFields(fpf)
	for _, name := range owned() {
		f.put(name, existing.doc[name])
	}
	for _, name := range []string{"AwsAccountName", "WorkflowState"} {
		if f.doc[name] == nil {
			f.put(name, existing.doc[name])
		}
	}
	f.setDefaults()
	return f.WithWorkflow(NextWorkflow(StandingOf(existing), f.Record(), f.Compliance()))
}

// Forget gives f without what a provider has said of the attributes that
// customers may write, unless the customer has touched them. Triage applies it
// when a trusted source takes over a finding that an untrusted one had
// written, so that nothing of the untrusted text survives in a trusted finding.
func (f Finding) Forget(touched Touched) Finding {
	g := f.clone()
	delete(g.doc, "FindingProviderFields")
	for _, names := range [][]string{shared(), owned()} {
		for _, name := range names {
			if !touched.Has(name) {
				delete(g.doc, name)
			}
		}
	}
	return g
}

// Later reports whether incoming is a newer version than existing: a provider's
// update counts only when its UpdatedAt is strictly later.
func Later(existing, incoming Finding) bool {
	return incoming.UpdatedAt().After(existing.UpdatedAt())
}

// providerFields gives a copy of FindingProviderFields, never nil.
func (f Finding) providerFields() map[string]any {
	old, _ := f.doc["FindingProviderFields"].(map[string]any)
	out := make(map[string]any, len(old)+2)
	for k, v := range old {
		out[k] = v
	}
	return out
}

func (f Finding) setProviderFields(fpf map[string]any) {
	if len(fpf) > 0 {
		f.doc["FindingProviderFields"] = fpf
	}
}

// put sets or removes a top-level member in place: only for a fresh clone.
func (f Finding) put(name string, v any) {
	if v == nil {
		delete(f.doc, name)
		return
	}
	f.doc[name] = v
}

func (f Finding) setDefaults() {
	if f.doc["RecordState"] == nil {
		f.doc["RecordState"] = string(Active)
	}
	if f.doc["WorkflowState"] == nil {
		f.doc["WorkflowState"] = "NEW" // deprecated, yet in every finding that AWS gives
	}
	if f.doc["Types"] == nil {
		f.doc["Types"] = []any{}
	}
	if r := f.Region(); f.doc["Region"] == nil && r != "" {
		f.doc["Region"] = r // AWS fills it in as well, so rules and filters may ask for it
	}
}

// meant gives v, or nil for a severity that does not say how severe: such a one
// must not push aside one that does.
func meant(name string, v any) any {
	if name == "Severity" && !rated(v) {
		return nil
	}
	return v
}

// complete normalises a severity and leaves every other attribute alone.
func complete(name string, v any) any {
	sev, ok := v.(map[string]any)
	if name != "Severity" || !ok {
		return v
	}
	if full := normalizeSeverity(sev); full != nil {
		return full
	}
	return v
}

// WithProductFields gives f with the product fields that it lacks.
func (f Finding) WithProductFields(fields map[string]string) Finding {
	for name, value := range fields {
		if value != "" && f.at([]string{"ProductFields", name}) == nil {
			f = f.withMember("ProductFields", name, value)
		}
	}
	return f
}
