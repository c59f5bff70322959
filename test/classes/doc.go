// Package classes proves on moto that what Parry sends without approval changes
// nothing: every operation classed as a read or a sensitive read is called on
// seeded resources, and moto's state is compared before and after.
package classes
