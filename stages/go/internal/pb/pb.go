// Package pb holds the wire contract: generated code, never edited by hand.
package pb

//go:generate sh generate.sh
