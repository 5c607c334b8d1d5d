package bench

import (
	"flag"
	"os"
	"testing"

	"banger/test/installation"
)

// bin holds the binaries that are measured; TestMain sets it once.
var bin installation.Binaries

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" { // there are no tests here
		os.Exit(m.Run())
	}
	os.Exit(installation.Main(m, false, func(b installation.Binaries) { bin = b }, report))
}
