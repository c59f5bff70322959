package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// inputs checks what each action needs.
func (c *checker) inputs(s *Step) {
	need := func(keys ...string) {
		for _, k := range keys {
			if v, ok := s.Inputs[k]; !ok || v == nil || v == "" {
				c.add(CodeInput, SeverityError, s.at("inputs"), s.path+".inputs."+k, s.Action+" needs the input "+k, "add "+k)
			}
		}
	}
	c.actionInputs(s)
	switch s.Action {
	case ActionAPI:
		need("Service", "Api")
	case ActionAssert, ActionWait:
		need("Service", "Api", "PropertySelector", "DesiredValues")
		c.property(s)
	case ActionSleep:
		_, duration := s.Inputs["Duration"]
		_, timestamp := s.Inputs["Timestamp"]
		if duration == timestamp {
			c.add(CodeInput, SeverityError, s.at("inputs"), s.path+".inputs", "aws:sleep needs exactly one of Duration and Timestamp", "write Duration: PT10S, for example")
		}
		if text, ok := s.Inputs["Duration"].(string); ok && !ParseTemplate(text).HasReferences() {
			if _, err := ParseDuration(text); err != nil {
				c.add(CodeInput, SeverityError, s.at("inputs", "Duration"), s.path+".inputs.Duration", err.Error(), "write an ISO 8601 duration such as PT10M")
			}
		}
	case ActionBranch:
		c.branch(s)
	case ActionUpdateVariable:
		c.variable(s)
	case ActionChangeState:
		if state, ok := s.Inputs["DesiredState"].(string); ok && !ParseTemplate(state).HasReferences() && !slices.Contains([]string{"running", "stopped", "terminated"}, state) {
			c.add(CodeInput, SeverityError, s.at("inputs", "DesiredState"), s.path+".inputs.DesiredState", fmt.Sprintf("%.40q is not a state to wait for", state), "write running, stopped or terminated")
		}
	case ActionRunCommand:
		if s.Inputs["InstanceIds"] == nil && s.Inputs["Targets"] == nil {
			c.add(CodeInput, SeverityError, s.at("inputs"), s.path+".inputs", "aws:runCommand needs InstanceIds or Targets", "say where the command runs")
		}
	}
}

// actionInputs holds the inputs of an action against those that AWS documents.
func (c *checker) actionInputs(s *Step) {
	known, ok := actionInputs[s.Action]
	inputs, has := s.node.get("inputs")
	if !ok || !has || inputs.kind != mapKind {
		return
	}
	for _, name := range sortedKeys(known) {
		if v, given := s.Inputs[name]; known[name].required && !c.excused(s, name) && (!given || v == nil || v == "" && name != "Value") {
			c.add(CodeInput, SeverityError, inputs.pos, s.path+".inputs."+name, s.Action+" needs the input "+name, "add "+name)
		}
	}
	for i, k := range inputs.keys {
		in, documented := known[k]
		switch {
		case !documented:
			c.add(CodeUnknownKey, SeverityWarning, inputs.keyPos[i], join(s.path+".inputs", k), fmt.Sprintf("%.60q is not an input of %s and has no effect", k, s.Action), "remove it or mend its spelling"+similar(k, sortedKeys(known)))
		case inputs.items[i].scalar != nil && !in.kind.fits(inputs.items[i]), inputs.items[i].kind != scalarKind && !in.kind.fits(inputs.items[i]):
			c.add(CodeInput, SeverityWarning, inputs.items[i].pos, join(s.path+".inputs", k), k+" is "+inputs.items[i].what()+", not "+in.kind.String(), "write "+in.kind.String())
		}
	}
}

// excused reports whether another input of s makes one unnecessary.
func (c *checker) excused(s *Step, name string) bool {
	_, enhanced := s.Inputs["EnhancedApprovals"]
	return s.Action == ActionApprove && name == "Approvers" && enhanced
}

// variable checks aws:updateVariable, whose value must have the variable's type:
// AWS converts nothing here.
func (c *checker) variable(s *Step) {
	name, _ := s.Inputs["Name"].(string)
	short, ok := strings.CutPrefix(strings.TrimSpace(name), "variable:")
	v, declared := c.doc.Variable(short)
	switch {
	case name == "":
	case !ok:
		c.add(CodeInput, SeverityError, s.at("inputs", "Name"), s.path+".inputs.Name", fmt.Sprintf("the name of a variable is written variable:NAME, not %.60q", name), "write variable:"+"NAME")
	case !declared:
		c.add(CodeUnknownReference, SeverityError, s.at("inputs", "Name"), s.path+".inputs.Name", fmt.Sprintf("there is no variable %.60q", short), "declare it under variables or mend the name")
	default:
		value := s.Inputs["Value"]
		text, isText := value.(string)
		if isText && ParseTemplate(text).HasReferences() {
			ref, whole := ParseTemplate(text).whole()
			t, known := c.typeOf(ref)
			if whole && known && t.base() != v.Type.base() || !whole && v.Type.base() != TypeString {
				c.add(CodeTypeFit, SeverityWarning, s.at("inputs", "Value"), s.path+".inputs.Value", fmt.Sprintf("the variable is of type %s, the value is not", v.Type), "give a value of that type; AWS converts nothing here")
			}
			return
		}
		if value != nil && !v.Type.Holds(value) {
			c.add(CodeTypeFit, SeverityWarning, s.at("inputs", "Value"), s.path+".inputs.Value", fmt.Sprintf("the variable is of type %s, the value is %s", v.Type, describe(value)), "give a value of that type; AWS converts nothing here")
		}
	}
}

func (c *checker) property(s *Step) {
	if text, ok := s.Inputs["PropertySelector"].(string); ok && !ParseTemplate(text).HasReferences() {
		if _, err := ParseSelector(text); err != nil {
			c.add(CodeSelector, SeverityError, s.at("inputs", "PropertySelector"), s.path+".inputs.PropertySelector", "the selector does not parse: "+err.Error(), "write a path such as $.Status")
		}
	}
	if v, ok := s.Inputs["DesiredValues"]; ok {
		list, isList := v.([]any)
		text, isText := v.(string)
		if !(isList && len(list) > 0) && !(isText && ParseTemplate(text).HasReferences()) {
			c.add(CodeInput, SeverityError, s.at("inputs", "DesiredValues"), s.path+".inputs.DesiredValues", "DesiredValues is not a list with values", "list the texts that count as met")
		}
	}
}

func (c *checker) branch(s *Step) {
	b, err := ParseBranch(s.Inputs)
	if err != nil {
		c.add(CodeInput, SeverityError, s.at("inputs", "Choices"), s.path+".inputs.Choices", err.Error(), "give each choice a NextStep and one condition")
		return
	}
	for i, choice := range b.Choices {
		c.jump(s, choice.NextStep, fmt.Sprintf("%s.inputs.Choices[%d].NextStep", s.path, i), s.at("inputs", "Choices"))
	}
	if b.Default != "" {
		c.jump(s, b.Default, s.path+".inputs.Default", s.at("inputs", "Default"))
	}
}
