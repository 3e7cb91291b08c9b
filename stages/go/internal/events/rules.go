package events

import (
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

const minValue = 10

// Rules keeps the events with a value of 10 or more that are not views. It passes on only
// the columns that Aggregate reads.
func Rules(events *pb.Events) (stage.Output, error) {
	count := len(events.Type)
	if err := stage.CheckColumn("Events.value", events.Value, uint64(count)); err != nil {
		return stage.Output{}, err
	}
	amounts := &pb.Amounts{
		Type:  make([]pb.EventType, 0, count),
		Value: make([]int64, 0, count),
	}
	for i, typ := range events.Type {
		if value := events.Value[i]; value >= minValue && typ != pb.EventType_EVENT_TYPE_VIEW {
			amounts.Type = append(amounts.Type, typ)
			amounts.Value = append(amounts.Value, value)
		}
	}
	kept := len(amounts.Type)
	return stage.Output{Message: amounts, Records: kept, Filtered: count - kept}, nil
}
