// Package ensemble holds Meerkat's part in an ensemble against real Java servers: two of three are
// ZooKeeper's, the third is an election of ours.
//
// Flow: a test makes an ensemble of Java processes with zoo.cfg files that name three servers, and
// an elector for the third; all elect; what each says of itself is compared.
//
// Our server elects and answers, and does not follow or lead yet: when all have concluded the
// same, the test is over.
//
// Never: looks into a Java server; what it learns, it learns over the wire.
package ensemble
