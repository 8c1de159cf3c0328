/* SPDX-License-Identifier: Apache-2.0 */
/* On which nodes a Service is there: the selectors of kubectl, and what is none. */
#include <criterion/criterion.h>

#include "service/node_match.h"

static bool match(const char *node, const char *selector)
{
	static char *labels[] = {"zone=endor", "example.com/edge=true", "empty=", "service.cilium.io/node=front"};
	const struct strv list = {labels, sizeof(labels) / sizeof(labels[0])};
	struct kube_pair pairs[2];
	struct kube_pairs p = {.v = pairs};

	if (node)
		pairs[p.n++] = (struct kube_pair){"service.cilium.io/node", (char *)node};
	if (selector)
		pairs[p.n++] = (struct kube_pair){"service.cilium.io/node-selector", (char *)selector};
	return node_match(&p, &list);
}

Test(node_match, selectors)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{"", true},
		{"  ", true},
		{"zone", true},
		{"!zone", false},
		{"other", false},
		{"!other", true},
		{"! other", true},
		{"zone=endor", true},
		{"zone == endor", true},
		{"zone=hoth", false},
		{"zone=endo", false},
		{"zone=endorr", false},
		{"zon=endor", false},
		{"zone!=hoth", true},
		{"zone != endor", false},
		{"other!=x", true},
		{"other=", false},
		{"empty=", true},
		{"empty", true},
		{"empty!=", false},
		{"example.com/edge=true", true},
		{"zone in (hoth, endor)", true},
		{"zone in(hoth)", false},
		{"zone notin (hoth)", true},
		{"zone notin (endor,hoth)", false},
		{"other notin (a)", true},
		{"other in (a,)", false},
		{"empty in (a,)", true},
		{"zone=endor,example.com/edge", true},
		{"zone=endor , !other", true},
		{"zone=endor,other", false},
		{"other,zone=endor", false},
		/* malformed: no node */
		{",", false},
		{"zone,", false},
		{"zone=endor,,zone", false},
		{"zone in", false},
		{"zone in (endor", false},
		{"zone in endor", false},
		{"zone endor", false},
		{"zone=endor x", false},
		{"!", false},
		{"!zone=hoth", false},
		{"zone=endor)", false},
		{"zone > 1", false},
		{"=endor", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(match(NULL, cases[i].text), cases[i].want, "\"%s\"", cases[i].text);
}

Test(node_match, the_label_of_its_own)
{
	const struct kube_pairs none = {0};
	struct kube_pair pair = {"service.cilium.io/node", "front"};
	const struct kube_pairs some = {&pair, 1};

	cr_expect(node_match(&none, NULL));
	cr_expect(match("front", NULL));
	cr_expect_not(match("back", NULL));
	cr_expect_not(match("", NULL));
	cr_expect_not(node_match(&some, NULL), "nothing is known of the node");
	cr_expect_not(match("front", "zone=hoth"), "the selector wins");
	cr_expect(match("back", "zone=endor"));
}
