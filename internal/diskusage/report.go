package diskusage

import (
	"slices"
	"strings"

	"banger"
)

// Item is one object of a report.
type Item struct {
	Kind     banger.DiskKind
	Name     string
	Users    []string // who need it
	Commands []string // that would delete it, each with all others for which it is named
	Tree     Tree
}

// Report sums items up, which have no path in common.
func Report(items []Item) banger.DiskUsage {
	usage := banger.DiskUsage{Reclaimable: reclaimable(items), Objects: []banger.DiskObject{}}
	var counted Tree
	for _, kind := range banger.DiskKinds() {
		sum, shared := banger.DiskSummary{Kind: kind}, Tree{}
		var all Tree
		for _, i := range items {
			if i.Kind != kind {
				continue
			}
			sum.Count++
			all = all.With(i.Tree)
			if len(i.Users) > 1 {
				shared = shared.With(i.Tree)
			}
			usage.Objects = append(usage.Objects, banger.DiskObject{
				Kind: kind, Name: i.Name, UsedBytes: i.Tree.Bytes(), Users: append([]string{}, i.Users...), Commands: append([]string{}, i.Commands...),
			})
		}
		sum.UsedBytes, sum.SharedBytes = all.beyond(counted.linked), shared.beyond(counted.linked)
		usage.UsedBytes += sum.UsedBytes
		usage.Kinds = append(usage.Kinds, sum)
		counted = counted.With(all)
	}
	return usage
}

// reclaimable says what each command would free, sorted.
func reclaimable(items []Item) []banger.Reclaimable {
	all := []banger.Reclaimable{}
	trees := map[string]Tree{}
	for _, item := range items {
		for _, command := range item.Commands {
			at := slices.IndexFunc(all, func(r banger.Reclaimable) bool { return r.Command == command })
			if at < 0 {
				at, all = len(all), append(all, banger.Reclaimable{Command: command})
			}
			all[at].Count++
			trees[command] = trees[command].With(item.Tree)
		}
	}
	for i := range all {
		all[i].Bytes = trees[all[i].Command].Freed()
	}
	slices.SortFunc(all, func(a, b banger.Reclaimable) int { return strings.Compare(a.Command, b.Command) })
	return all
}
