package image

import "banger"

// validateName checks the name of an image: it is used in file names and
// on command lines, so it is a word.
func validateName(name string) error {
	for i, c := range name {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '-' && c != '_' && c != '.') {
			return banger.Errorf(banger.CodeInvalid, "cannot name image %q: a name is letters, digits, -, _ and ., and begins with a letter or digit", name)
		}
	}
	if name == "" || len(name) > banger.MaxNameBytes {
		return banger.Errorf(banger.CodeInvalid, "cannot name image: a name has 1 to %d bytes", banger.MaxNameBytes)
	}
	return nil
}
