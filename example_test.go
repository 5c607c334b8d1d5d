package banger_test

import (
	"errors"
	"fmt"

	"banger"
)

// An error of any service has a code to act on.
func Example() {
	request := banger.SessionRequest{Launch: banger.Launch{Command: "make", Args: []banger.ByteString{"-j", "2", "all tests"}, StdinMode: banger.StdinClosed}}
	fmt.Println(request.CommandLine(0), request.Validate())

	request.Cwd = "src"
	err := request.Validate()
	if e, ok := errors.AsType[*banger.Error](err); ok {
		fmt.Println(e.Code)
	}
	// Output:
	// make -j 2 'all tests' <nil>
	// invalid
}
