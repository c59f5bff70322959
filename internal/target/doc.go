// Package target holds what a rule of an event bus sends events to, in the terms of
// Amazon EventBridge's PutTargets: the target itself (Target, its limits in Validate),
// what it is sent (Input: the event, a constant, a part of the event or a template), and
// when a delivery that failed is tried again (RetryPolicy.Next).
//
// The language is that of the pages "Amazon EventBridge input transformation" and
// "Event bus targets" of the EventBridge user guide, and of the API reference's Target,
// InputTransformer and RetryPolicy.
//
// # Templates
//
// A template is a JSON value, or several JSON strings, one a line, for text. In it,
// <name> is a variable of InputPathsMap or one that AWS predefines; nothing escapes < and
// >. What a variable becomes depends on where it stands:
//
//   - As a JSON value: what the path found, as it is in the event; a string with quotes.
//   - In a JSON string: its text, with \" staying \".
//   - As the name of a member it is refused, and so are aws.events.event and
//     aws.events.event.json in a string, which AWS allows as values only.
//
// A path that finds nothing is no error: the variable does not appear. Two things differ
// from AWS unless Options.AWSCompatible asks for AWS's own way, in which the sender of an
// event can break out of a string and write members of their own:
//
//   - In a string, values are escaped. AWS puts in the bare text of a string, and an
//     object or a list without its quotes.
//   - As a value, what is not found is null. AWS leaves the place empty, which is no JSON.
//
// # Paths
//
// A path is $ with .name, [n], [*], .* and ['name'] after it; a name without brackets has
// letters, digits, - _ and /. AWS does not check paths when a target is made, so neither
// does Validate: one outside the language finds nothing, and Warnings names it. A path
// with a star gives the list of what it finds, and nothing where there is nothing to
// look through. Of members with one name in an object the last counts, under a star all do.
//
// # Where AWS's documentation is silent
//
//   - An InputPath that finds nothing sends null.
//   - A template of a text without quotes is refused, as "For Strings, quotes are required"
//     has it; so is a variable that is neither defined nor predefined.
//   - A dynamic path parameter that finds nothing is an error of that delivery.
//
// # Limits
//
// Ids, constants, templates, paths and policies have AWS's limits (Validate). What a
// template gives is at most MaxOutput; more is an error of that delivery. An event is
// read once for all paths, whatever they are. What is rendered into a header or an
// address is still text that a stranger wrote: who sends it checks it.
package target
