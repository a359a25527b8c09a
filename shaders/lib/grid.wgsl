// The index of this thread in a grid made by linearGrid(): x first, folded into y above 65,535 groups.
fn threadIndex(group: vec3<u32>, groups: vec3<u32>, local: u32, size: u32) -> u32 {
  return (group.y * groups.x + group.x) * size + local;
}
