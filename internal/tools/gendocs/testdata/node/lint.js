// Prints what Redocly's linter finds in openapi.json, a line each. Its command line needs
// a newer node than Debian 12 has; this is what it calls.
import { createConfig, lint } from '@redocly/openapi-core';

const config = await createConfig({
	extends: ['recommended'],
	rules: {
		// What is said on an attachment's connection is in no body of HTTP, and described
		// all the same: main_test.go has which schemas that are.
		'no-unused-components': 'off',
	},
});
for (const problem of await lint({ ref: 'openapi.json', config })) {
	console.log(`${problem.severity} ${problem.ruleId} at ${problem.location[0]?.pointer}: ${problem.message}`);
}
